//! The stores: one contract for all of them, many callers at once, servers that go away.
#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, reason = "a test that fails is to stop")]

mod contract;
mod many;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod server;
mod snapshot;
#[cfg(feature = "redis")]
mod through_the_layer;
#[cfg(feature = "redis")]
mod windows;
mod world;
