//! The layer around scripted providers, in paused time.

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
