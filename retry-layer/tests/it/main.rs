//! The layer's tests, one binary.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
mod drops;
mod grpc;
mod hints;
mod limits;
mod passing;
mod readiness;
mod retries;
mod stopping;
mod streams;
mod telling;
