//! [guide]: crate::guide
//! [one_layer]: https://docs.rs/crate/sse-layer/latest/source/examples/one_layer.rs
//! [`llm_exchange::CutShort`]: llm_exchange::CutShort
#![cfg_attr(docsrs, doc = include_str!("on_docs_rs.md"))]
//! [cost-layer]: ../cost_layer/index.html
//! [cache-layer]: ../cache_layer/index.html
//! [budget-layer]: ../budget_layer/index.html
//! [fallback-layer]: ../fallback_layer/index.html
//! [retry-layer]: ../retry_layer/index.html
//! [breaker-layer]: ../breaker_layer/index.html
//! [llm-translate]: ../llm_translate/index.html
//! [llm-exchange]: llm_exchange
//!
#![doc = include_str!("../README.md")]

pub mod client;
pub mod guide;
mod quiet;
mod relay;
pub mod server;
mod tell;
mod timeout;
mod whole;

pub use llm_exchange::{Dialect, sse, stream};

pub use self::{
    relay::{Abandon, Drain, Sse, SseBody, SseFuture, SseLayer},
    timeout::{Clock, StreamTimeout, StreamTimeoutBody, StreamTimeoutFuture, StreamTimeoutLayer},
};
