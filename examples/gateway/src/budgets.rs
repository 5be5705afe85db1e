//! The budgets with their store.

use std::{fmt, time::Duration};

use budget_layer::{
    BudgetLayer, Guarded, RedisStore,
    store::{MemoryStore, Store},
};
use cost_layer::Prices;
use llm_exchange::BoxError;
use tokio::time::timeout;

use crate::config::{BudgetStore, Config};

/// The budgets, in the store that the configuration asks for.
pub(crate) enum Budgets {
    InMemory(BudgetLayer),
    InRedis(BudgetLayer<Guarded<RedisStore>>),
}

/// All calls of which nobody knows whose they are.
const ANONYMOUS: &str = "anonymous";

pub(crate) fn open(config: &Config) -> Result<Option<Budgets>, BoxError> {
    let Some(budget) = &config.budget else {
        return Ok(None);
    };
    Ok(Some(match &budget.store {
        BudgetStore::Memory(snapshot) => {
            let store = MemoryStore::new();
            let store = match snapshot {
                Some(path) => store.with_snapshot(path)?,
                None => store,
            };
            Budgets::InMemory(layer(config, store))
        }
        BudgetStore::Redis(url) => {
            let store = RedisStore::new(url)?;
            Budgets::InRedis(layer(config, Guarded::new(store)))
        }
    }))
}

fn layer<S: Store>(config: &Config, store: S) -> BudgetLayer<S> {
    let mut layer = BudgetLayer::new(store);
    // with it there are none
    if config.auth.is_none() {
        layer = layer.anonymous(ANONYMOUS);
    }
    let Some(budget) = &config.budget else {
        return layer;
    };
    let layer = budget
        .limits
        .iter()
        .fold(layer, |layer, limit| layer.limit(limit.clone()))
        .time_zone(budget.zone.clone());
    match &config.cost {
        Some(cost) => layer.priced_by(cost.layer.pricing()),
        None => layer.priced_by(Prices::builtin()),
    }
}

impl Budgets {
    /// Waits until what has ended is booked. True if all is.
    pub(crate) async fn flush(&self, limit: Duration) -> bool {
        match self {
            Self::InMemory(_) => true,
            Self::InRedis(layer) => {
                let handle = layer.handle();
                timeout(limit, handle.store().store().flush()).await.is_ok()
            }
        }
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InMemory(layer) => layer.fmt(f),
            Self::InRedis(layer) => layer.fmt(f),
        }
    }
}
