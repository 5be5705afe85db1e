//! What the last hours cost, by model and by user.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cost_layer::{By, CostHandle, LedgerError, Query, Span, Spend};
use serde_json::{Value, json};

use crate::board::dollars;

const HOUR: Duration = Duration::from_secs(3_600);

/// The hours that are drawn.
const MOST: u64 = 24;

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
        let mut hours = Vec::new();
        for number in first..=now {
            let known = self.lock().get(&number).cloned();
            let hour = match known {
                Some(hour) => hour,
                None => hour(number, books).await?,
            };
            // calls that ran over its end may still be booked into the one before
            if number + 1 < now {
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
