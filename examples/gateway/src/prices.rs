//! The file of prices, read again when it has changed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use cost_layer::Pricing;
use tokio::{task::spawn_blocking, time::sleep};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(10);

type State = (SystemTime, u64);

/// Looks at the file again and again.
pub(crate) async fn watch(pricing: Pricing, path: PathBuf) {
    let mut seen = state(&path).ok();
    loop {
        sleep(EVERY).await;
        let (pricing, path) = (pricing.clone(), path.clone());
        let looked = spawn_blocking(move || look(&pricing, &path, seen)).await;
        seen = looked.unwrap_or(seen);
    }
}

/// What can't be read, or loses most models, changes nothing: the prices in use stay.
fn look(pricing: &Pricing, path: &Path, seen: Option<State>) -> Option<State> {
    let now = state(path).ok();
    if now.is_some() && now != seen {
        match pricing.reload(path) {
            Ok(()) => tracing::info!(path = %path.display(), "prices are read again"),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "prices stay as they were")
            }
        }
    }
    now
}

fn state(path: &Path) -> io::Result<State> {
    let file = fs::metadata(path)?;
    Ok((file.modified()?, file.len()))
}

#[cfg(test)]
mod tests {
    use cost_layer::Prices;
    use llm_exchange::{Price, Purchase};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_is_read_again_and_a_broken_one_is_not_taken() {
        let path = std::env::temp_dir().join(format!("gateway-prices-{}.json", std::process::id()));
        let write = |price: &str| {
            let text = format!("{{\"a\": {{\"input_cost_per_token\": {price}");
            fs::write(&path, text).unwrap();
        };
        write("1e-06}}");
        let pricing = Pricing::new(Prices::from_file(&path).unwrap());
        let costs = || {
            let price = pricing.price(&Purchase::estimate("a", 1_000_000, 0));
            price.unwrap().to_string()
        };
        let watching = tokio::spawn(watch(pricing.clone(), path.clone()));
        tokio::task::yield_now().await;
        write("2.5e-06}}");
        assert_eq!(costs(), "$1.00");
        sleep(EVERY * 2).await;
        assert_eq!(costs(), "$2.50");
        write("9e");
        sleep(EVERY * 2).await;
        assert_eq!(costs(), "$2.50");
        fs::remove_file(&path).unwrap();
        sleep(EVERY * 2).await;
        write("40e-06}}");
        sleep(EVERY * 2).await;
        assert_eq!(costs(), "$40.00");
        watching.abort();
        fs::remove_file(&path).unwrap();
    }
}
