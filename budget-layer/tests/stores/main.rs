//! The stores: one contract for all of them, many callers at once, servers that go away.
#![allow(unreachable_pub)]

mod contract;
mod many;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod server;
mod snapshot;
mod world;
