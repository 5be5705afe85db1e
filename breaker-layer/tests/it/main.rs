//! The layer from outside: conversations with a scripted provider, in paused time.
#![allow(unreachable_pub, clippy::unwrap_used)]

mod callers;
mod circuits;
mod common;
mod grpc;
mod handle;
mod keys;
mod outcomes;
mod probes;
mod readiness;
mod refusals;
mod streams;
mod waiting;
