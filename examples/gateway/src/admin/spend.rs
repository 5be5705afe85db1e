//! What the last hours cost, by model and by user.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cost_layer::{By, CostHandle, LedgerError, Query, Span, Spend};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::board::dollars;

const HOUR: Duration = Duration::from_secs(3_600);

/// The hours that are drawn.
const MOST: u64 = 24;

/// How long the ledger may take for what waits.
const WRITING: Duration = Duration::from_secs(5);

/// Models and users with a part of their own; the rest is one.
const PARTS: usize = 8;

/// The hours that are over, which do not change any more, by their number since 1970.
#[derive(Default)]
pub(crate) struct Hours(Mutex<BTreeMap<u64, Value>>);

impl Hours {
    /// The last day, hour by hour; null if the ledger is not there.
    pub(super) async fn read(&self, books: &CostHandle, now: SystemTime) -> Value {
        match self.ask(books, now).await {
            Ok(hours) => hours.into(),
            Err(error) => {
                tracing::error!(%error, "the spending of the last hours");
                Value::Null
            }
        }
    }

    async fn ask(&self, books: &CostHandle, now: SystemTime) -> Result<Vec<Value>, LedgerError> {
        let since = now.duration_since(UNIX_EPOCH);
        let now = since.unwrap_or_default().as_secs() / HOUR.as_secs();
        let first = now.saturating_sub(MOST - 1);
        // what waits for a ledger that was away may be of an hour that is long over
        let written = timeout(WRITING, books.flush()).await;
        let is_all_written = matches!(written, Ok(Ok(())));
        let mut hours = Vec::new();
        for number in first..=now {
            let known = self.lock().get(&number).cloned();
            let hour = match known {
                Some(hour) => hour,
                None => hour(number, books).await?,
            };
            // calls that ran over its end may still be booked into the one before
            if is_all_written && number + 1 < now {
                self.lock().insert(number, hour.clone());
            }
            hours.push(hour);
        }
        self.lock().retain(|number, _| *number >= first);
        Ok(hours)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hour(number: u64, books: &CostHandle) -> Result<Value, LedgerError> {
    let from = UNIX_EPOCH + Duration::from_secs(number * HOUR.as_secs());
    let span = Span {
        from,
        to: from + HOUR,
    };
    let models = books.spend(&Query::new(span, By::Model)).await?;
    let users = books.spend(&Query::new(span, By::User)).await?;
    Ok(json!({
        "at": number * HOUR.as_secs() * 1000,
        "models": parts(models),
        "users": parts(users),
    }))
}

/// The dearest by name, and the rest together.
fn parts(mut spends: Vec<Spend>) -> Value {
    spends.retain(|spend| spend.cost.picos() > 0);
    spends.sort_by_key(|spend| std::cmp::Reverse(spend.cost));
    let rest = spends.split_off(spends.len().min(PARTS));
    let mut parts: serde_json::Map<_, _> = spends
        .into_iter()
        .map(|spend| (spend.key, dollars(spend.cost).into()))
        .collect();
    if !rest.is_empty() {
        let rest: f64 = rest.iter().map(|spend| dollars(spend.cost)).sum();
        parts.insert("…".into(), rest.into());
    }
    parts.into()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    };

    use cost_layer::{CostLayer, Entry, Ledger, LedgerFuture, MemoryLedger, Page, Prices, Record};
    use http_body_util::{BodyExt, Full};
    use llm_exchange::WallClock;
    use testkit::{Answer, Script};
    use tower::ServiceExt;
    use tower_layer::Layer;

    use super::*;

    /// It takes nothing while it is away, and answers what it knows.
    struct Away(Arc<AtomicBool>, MemoryLedger);

    impl Ledger for Away {
        fn append<'a>(&'a self, records: &'a [Arc<Record>]) -> LedgerFuture<'a, ()> {
            if self.0.load(Relaxed) {
                let error = LedgerError::temporary("it is away");
                return Box::pin(std::future::ready(Err(error)));
            }
            self.1.append(records)
        }

        fn spend<'a>(&'a self, query: &'a Query) -> LedgerFuture<'a, Vec<Spend>> {
            self.1.spend(query)
        }

        fn entries<'a>(&'a self, page: &'a Page) -> LedgerFuture<'a, Vec<Entry>> {
            self.1.entries(page)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_is_not_final_while_records_wait_for_the_ledger() {
        let at = UNIX_EPOCH + 500_000 * HOUR;
        let away = Arc::new(AtomicBool::new(true));
        let layer = CostLayer::new(Prices::builtin())
            .clock(WallClock::fixed(at))
            .ledger(Away(Arc::clone(&away), MemoryLedger::new()));
        let answer = r#"{"model":"gpt-4o","choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;
        let call = http::Request::post("https://api.openai.com/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Full::from(r#"{"model":"gpt-4o","messages":[]}"#))
            .unwrap();
        let provider = Script::new().then(Answer::json(200, answer));
        let answer = layer.layer(provider).oneshot(call).await.unwrap();
        answer.into_body().collect().await.unwrap();

        let (books, hours) = (layer.handle(), Hours::default());
        let spent = async || {
            let drawn = hours.read(&books, at + 3 * HOUR).await;
            let drawn = drawn.as_array().unwrap().iter();
            let costs = drawn.filter_map(|hour| hour["models"]["gpt-4o"].as_f64());
            costs.sum::<f64>()
        };
        assert_eq!(spent().await, 0.0);
        away.store(false, Relaxed);
        assert!(spent().await > 0.0);
        // now it is known, and the ledger is not asked again
        assert_eq!(hours.lock().len(), 22);
    }
}
