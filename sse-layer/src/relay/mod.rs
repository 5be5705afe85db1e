//! The stream that the caller sees.

mod abandon;
mod body;
mod caller;
mod early;
mod ending;
mod future;
mod layer;
mod service;
mod stream;

pub use self::{
    abandon::{Abandon, Drain},
    body::SseBody,
    future::SseFuture,
    layer::SseLayer,
    service::Sse,
};
use llm_exchange::{AnswerBody, UsageHidden};

/// The inner service's body as it is read here.
type Upstream<R> = UsageHidden<AnswerBody<R>>;
