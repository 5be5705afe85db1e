//! [guide]: crate::guide
//! [one_layer]: https://docs.rs/crate/budget-layer/latest/source/examples/one_layer.rs
#![cfg_attr(docsrs, doc = include_str!("on_docs_rs.md"))]
//! [sse-layer]: ../sse_layer/index.html
//! [cost-layer]: ../cost_layer/index.html
//! [cache-layer]: ../cache_layer/index.html
//! [fallback-layer]: ../fallback_layer/index.html
//! [retry-layer]: ../retry_layer/index.html
//! [breaker-layer]: ../breaker_layer/index.html
//! [llm-translate]: ../llm_translate/index.html
//! [llm-exchange]: llm_exchange
//!
#![doc = include_str!("../README.md")]

mod account;
mod admission;
mod admit;
mod amount;
mod body;
mod budget;
mod extend;
mod future;
pub mod guide;
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

// what a caller of this crate names, so that it needs no other
pub use llm_exchange::{Money, User};

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
