//! [guide]: crate::guide
//! [one_layer]: https://docs.rs/crate/breaker-layer/latest/source/examples/one_layer.rs
//! [`llm_exchange::Refusal`]: llm_exchange::Refusal
#![cfg_attr(docsrs, doc = include_str!("on_docs_rs.md"))]
//! [sse-layer]: ../sse_layer/index.html
//! [cost-layer]: ../cost_layer/index.html
//! [cache-layer]: ../cache_layer/index.html
//! [budget-layer]: ../budget_layer/index.html
//! [fallback-layer]: ../fallback_layer/index.html
//! [retry-layer]: ../retry_layer/index.html
//! [llm-translate]: ../llm_translate/index.html
//! [llm-exchange]: llm_exchange
//!
#![doc = include_str!("../README.md")]

mod body;
mod circuit;
#[cfg(test)]
mod circuit_model;
mod credential;
mod entry;
mod future;
mod gate;
#[cfg(feature = "metrics")]
mod gauges;
mod guard;
pub mod guide;
mod handle;
mod hub;
mod keys;
mod known;
mod layer;
mod name;
mod places;
mod recent;
mod refusal;
mod rules;
mod service;
mod settings;
mod shared;
mod sync;
mod wait;
mod whole;

// what a caller of this crate names, so that it needs no other
pub use llm_exchange::Verdict;

pub use self::{
    body::Settle,
    circuit::CircuitState,
    entry::CircuitCounts,
    future::BreakerFuture,
    handle::{BreakerHandle, CircuitStatus},
    hub::{Transition, Transitions},
    layer::BreakerLayer,
    service::{Breaker, BreakerBody},
    settings::{Counts, InvalidBreaker, SlowCalls, Window},
};
