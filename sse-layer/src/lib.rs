#![doc = include_str!("../README.md")]

pub mod client;
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
