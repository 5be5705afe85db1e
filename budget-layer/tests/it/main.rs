//! The layer around scripted providers, in paused time.

#![allow(clippy::unwrap_used, reason = "a test that fails is to stop")]

mod amazon;
mod attempts;
mod caps;
mod common;
mod limits;
#[cfg(feature = "metrics")]
mod metrics;
mod refusals;
mod services;
mod settling;
mod streams;
mod under_cache;
