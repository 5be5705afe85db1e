#![doc = include_str!("../README.md")]

mod relay;
mod tell;
mod timeout;
mod whole;

pub use self::{
    relay::{Abandon, Drain, Sse, SseBody, SseFuture, SseLayer},
    timeout::{Clock, StreamTimeout, StreamTimeoutBody, StreamTimeoutFuture, StreamTimeoutLayer},
};
