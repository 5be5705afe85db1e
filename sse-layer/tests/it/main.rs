//! The crate's tests, one binary.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod auto_traits;
mod caps;
mod clients;
mod common;
mod dialects;
mod early;
mod frames;
mod leaving;
mod quiet;
mod readiness;
mod relays;
mod servers;
mod timeout_ends;
mod timeouts;
