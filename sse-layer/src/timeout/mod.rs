//! The clocks of one attempt.

mod body;
mod clocks;
mod cut;
mod future;
mod layer;
mod running;
mod service;
mod settings;

pub use self::{
    body::StreamTimeoutBody, future::StreamTimeoutFuture, layer::StreamTimeoutLayer,
    service::StreamTimeout, settings::Clock,
};
