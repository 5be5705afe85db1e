//! The layer's tests, one binary.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod answers;
mod books;
mod chains;
mod common;
mod drops;
mod failover;
#[cfg(feature = "translate")]
mod failover_across;
mod failover_dialects;
mod hedging;
mod hedging_books;
mod leaving;
mod limits;
mod memory;
mod readiness;
mod rewriting;
mod secrets;
mod stacked;
#[cfg(feature = "translate")]
mod translated;
