//! The budgets with their store.

use std::{fmt, time::Duration};

use budget_layer::{
    BudgetLayer, Guarded, Limit, RedisStore, Zone,
    store::{MemoryStore, Store},
};
use cost_layer::{CostLayer, Pricing};
use llm_exchange::BoxError;
use tokio::time::timeout;

use crate::config::{BudgetConfig, BudgetStore};

/// The budgets, in the store that the configuration asks for.
#[derive(Clone)]
pub(crate) enum Budgets {
    InMemory(BudgetLayer),
    InRedis(BudgetLayer<Guarded<RedisStore>>),
}

/// All calls of which nobody knows whose they are.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// `has_users`: it is known whose each call is.
pub(crate) fn open(
    config: Option<BudgetConfig>,
    cost: Option<&CostLayer>,
    has_users: bool,
) -> Result<Option<Budgets>, BoxError> {
    let Some(BudgetConfig {
        limits,
        zone,
        store,
    }) = config
    else {
        return Ok(None);
    };
    let pricing = match cost {
        Some(cost) => cost.pricing(),
        None => CostLayer::default().pricing(),
    };
    let plan = Plan {
        limits,
        zone,
        pricing,
        has_users,
    };
    Ok(Some(match store {
        BudgetStore::Memory(snapshot) => {
            let store = MemoryStore::new();
            let store = match snapshot {
                Some(path) => store.with_snapshot(path)?,
                None => store,
            };
            Budgets::InMemory(plan.layer(store))
        }
        BudgetStore::Redis(url) => {
            Budgets::InRedis(plan.layer(Guarded::new(RedisStore::new(&url)?)))
        }
    }))
}

/// What the layer is told, whichever its store.
struct Plan {
    limits: Vec<Limit>,
    zone: Zone,
    pricing: Pricing,
    has_users: bool,
}

impl Plan {
    fn layer<S: Store>(self, store: S) -> BudgetLayer<S> {
        let mut layer = BudgetLayer::new(store)
            .time_zone(self.zone)
            .priced_by(self.pricing);
        if !self.has_users {
            layer = layer.anonymous(ANONYMOUS);
        }
        self.limits.into_iter().fold(layer, BudgetLayer::limit)
    }
}

impl Budgets {
    /// The amounts of limits that are there. Another limit is made, and one that is gone is taken away, at a
    /// restart only.
    pub(crate) fn set_limits(&self, limits: &[Limit]) {
        let there = match self {
            Self::InMemory(layer) => layer.handle().limits(),
            Self::InRedis(layer) => layer.handle().limits(),
        };
        for (name, _) in there {
            if !limits.iter().any(|limit| limit.name() == &*name) {
                tracing::warn!(
                    limit = &*name,
                    "[budget] has it no more: it is in force until a restart"
                );
            }
        }
        for limit in limits {
            let set = match self {
                Self::InMemory(layer) => layer.handle().set_limit(limit.name(), limit.amount()),
                Self::InRedis(layer) => layer.handle().set_limit(limit.name(), limit.amount()),
            };
            if let Err(error) = set {
                tracing::warn!(limit = limit.name(), %error, "it waits for a restart");
            }
        }
    }

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
