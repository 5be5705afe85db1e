//! Calls through the layer, in paused time.

#![allow(clippy::unwrap_used, reason = "a test that fails is to stop")]

mod alerts;
mod auto_traits;
mod background;
mod booking;
mod common;
mod drops;
mod fallen_back;
mod ledgers;
#[cfg(feature = "metrics")]
mod metrics;
mod readiness;
mod threads;
