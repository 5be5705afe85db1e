//! What calls cost, against amounts that were computed by hand.

#![allow(clippy::unwrap_used, reason = "a test that fails is to stop")]

mod golden;
mod lists;
mod oddities;
mod replacing;
mod tiers;
