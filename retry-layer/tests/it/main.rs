//! The layer's tests, one binary.

mod common;
mod drops;
mod hints;
mod readiness;
mod retries;
mod streams;
