//! Stores that go away and come back.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[cfg(feature = "redis")]
mod redis;
mod scripted;
#[cfg(feature = "redis")]
#[allow(dead_code)]
#[path = "../stores/server.rs"]
mod server;
#[allow(dead_code)]
#[path = "../stores/world.rs"]
mod world;
