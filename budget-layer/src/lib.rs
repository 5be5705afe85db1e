#![doc = include_str!("../README.md")]

mod account;
mod admission;
mod admit;
mod amount;
mod body;
mod budget;
mod extend;
mod future;
mod handle;
mod headers;
mod keys;
mod layer;
mod learnt;
mod limit;
#[cfg(feature = "metrics")]
pub mod metrics;
mod open;
mod plan;
pub mod quota;
mod refusal;
mod reservation;
mod sending;
mod service;
mod spent;
pub mod store;
mod sync;
mod tell;
pub mod tokens;
mod window;

#[cfg(feature = "redis")]
pub use self::store::RedisStore;
pub use self::{
    amount::Amount,
    body::Held,
    future::BudgetFuture,
    handle::{Account, BudgetError, BudgetHandle, BudgetStats},
    keys::owner_of_key,
    layer::BudgetLayer,
    limit::{Asked, Limit, LimitFor},
    open::Settle,
    refusal::OverBudget,
    reservation::Reservation,
    service::{BudgetBody, Budgeted},
    store::{Guarded, MemoryStore, WhenAway},
    tokens::TokenCounter,
    window::{Period, UnknownZone, Window, Zone},
};
