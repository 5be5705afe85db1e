//! The clocks of one attempt.

mod body;
mod clocks;
mod cut;
mod future;
mod layer;
mod running;
mod service;
mod settings;
mod woken;

pub use self::{
    body::StreamTimeoutBody, future::StreamTimeoutFuture, layer::StreamTimeoutLayer,
    service::StreamTimeout, settings::Clock,
};
