//! The file of prices, read again when it has changed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use cost_layer::{Prices, Pricing};
use tokio::{task::spawn_blocking, time::sleep};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(10);

type State = (SystemTime, u64);

/// What is watched at the moment: a configuration that is read again may name another file.
pub(crate) type Watched = (PathBuf, [Pricing; 2]);

/// Looks at the file again and again.
pub(crate) async fn watch(watched: impl Fn() -> Option<Watched>) {
    let mut seen = watched().map(|(path, _)| (state(&path).ok(), path));
    loop {
        sleep(EVERY).await;
        let Some((path, pricings)) = watched() else {
            continue;
        };
        let same = seen.take().filter(|(_, of)| *of == path);
        let Some((before, _)) = same else {
            // it was read when it was named
            seen = Some((state(&path).ok(), path));
            continue;
        };
        let of = path.clone();
        let looked = spawn_blocking(move || look(&pricings, &of, before)).await;
        seen = Some((looked.unwrap_or(before), path));
    }
}

/// What can't be read, or loses most models, changes nothing: the prices in use stay.
fn look(pricings: &[Pricing], path: &Path, seen: Option<State>) -> Option<State> {
    let now = state(path).ok();
    if now.is_some() && now != seen {
        let replaced = Prices::from_file(path).and_then(|prices| {
            let mut each = pricings.iter();
            each.try_for_each(|pricing| pricing.replace(prices.clone()))
        });
        match replaced {
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
        let routes = Pricing::new(Prices::builtin());
        let watched = (path.clone(), [pricing.clone(), routes]);
        let watching = tokio::spawn(watch(move || Some(watched.clone())));
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
