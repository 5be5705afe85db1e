//! One contract for all ledgers, and what is particular to each.

#![allow(clippy::unwrap_used, reason = "a test that fails is to stop")]

mod contract;
mod memory;
#[cfg(feature = "postgres")]
mod outages;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod restarts;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sums;
