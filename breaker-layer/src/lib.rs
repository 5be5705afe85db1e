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
