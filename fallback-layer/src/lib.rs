#![doc = include_str!("../README.md")]

mod all_failed;
mod body;
mod came;
mod chain;
mod course;
mod failover;
mod future;
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
mod walk;

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
