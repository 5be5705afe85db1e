#![doc = include_str!("../README.md")]

mod again;
mod backoff;
mod budget;
mod call;
mod deadline;
mod future;
mod hook;
mod layer;
mod policy;
mod retried;
mod service;
mod stats;
mod stop;

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
