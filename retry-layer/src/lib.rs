//! [guide]: crate::guide
//! [one_layer]: https://docs.rs/crate/retry-layer/latest/source/examples/one_layer.rs
//! [`llm_exchange::Attempts`]: llm_exchange::Attempts
//! [`llm_exchange::Classify`]: llm_exchange::Classify
//! [`llm_exchange::Verdict`]: llm_exchange::Verdict
#![cfg_attr(docsrs, doc = include_str!("on_docs_rs.md"))]
//! [sse-layer]: ../sse_layer/index.html
//! [cost-layer]: ../cost_layer/index.html
//! [cache-layer]: ../cache_layer/index.html
//! [budget-layer]: ../budget_layer/index.html
//! [fallback-layer]: ../fallback_layer/index.html
//! [breaker-layer]: ../breaker_layer/index.html
//! [llm-translate]: ../llm_translate/index.html
//! [llm-exchange]: llm_exchange
//!
#![doc = include_str!("../README.md")]

mod again;
mod backoff;
mod budget;
mod call;
mod deadline;
mod future;
pub mod guide;
mod hook;
mod layer;
mod policy;
mod retried;
mod service;
mod stats;
mod stop;

// what a caller of this crate names, so that it needs no other
pub use llm_exchange::Verdict;

pub use self::{
    backoff::{Backoff, InvalidBackoff},
    budget::RetryBudget,
    future::RetryFuture,
    hook::{OnRetry, Retrying},
    layer::RetryLayer,
    policy::GaveUp,
    retried::Retried,
    service::{Retry, RetryBody},
    stats::{RetryHandle, RetryStats, Settle},
};
