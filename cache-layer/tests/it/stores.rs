//! One contract for every store; Redis is a real server, killed in the middle.

mod contract;
mod late;
#[cfg(feature = "redis")]
mod outage;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod server;
mod tiers;
