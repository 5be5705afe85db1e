//! The crate's tests, one binary.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod auto_traits;
mod common;
mod readiness;
mod timeout_ends;
mod timeouts;
