//! Stores that go away and come back.
#![allow(unreachable_pub)]

#[cfg(feature = "redis")]
mod redis;
mod scripted;
#[cfg(feature = "redis")]
#[path = "../stores/server.rs"]
mod server;
#[allow(dead_code)]
#[path = "../stores/world.rs"]
mod world;
