//! The provider's own rate limits: what is held back, for whom, and until when.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod callers;
mod common;
mod crowd;
mod grpc;
mod held;
mod keys;
mod readiness;
