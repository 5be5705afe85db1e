//! [guide]: crate::guide
//! [one_layer]: https://docs.rs/crate/fallback-layer/latest/source/examples/one_layer.rs
#![cfg_attr(docsrs, doc = include_str!("on_docs_rs.md"))]
//! [sse-layer]: ../sse_layer/index.html
//! [cost-layer]: ../cost_layer/index.html
//! [cache-layer]: ../cache_layer/index.html
//! [budget-layer]: ../budget_layer/index.html
//! [retry-layer]: ../retry_layer/index.html
//! [breaker-layer]: ../breaker_layer/index.html
//! [llm-translate]: ../llm_translate/index.html
//!
#![doc = include_str!("../README.md")]

mod all_failed;
mod body;
mod came;
mod chain;
mod course;
mod failover;
mod future;
pub mod guide;
mod handle;
mod hedge;
mod hook;
mod invalid;
mod keys;
mod layer;
mod leave;
mod members;
mod memory;
mod own;
mod prospect;
mod rewrite;
mod routes;
mod served;
mod service;
mod shared;
mod target;
#[cfg_attr(not(feature = "translate"), path = "no_translate.rs")]
mod translate;
mod walk;

// what a caller of this crate names, so that it needs no other
pub use llm_exchange::Standard;

pub use self::{
    body::{FallbackBody, Remember},
    chain::{Chain, Chains},
    failover::{Failover, GoesOn, Prefill},
    future::FallbackFuture,
    handle::{FallbackHandle, FallbackStats},
    hook::{Leaving, OnFallback},
    invalid::InvalidChain,
    layer::FallbackLayer,
    memory::{Memory, Remembered},
    own::{Inner, Join, Own, Via},
    served::{Left, Served, Skipped, Why},
    service::Fallback,
    target::Target,
};
