//! What calls cost, against amounts that were computed by hand.

mod golden;
mod lists;
mod replacing;
mod tiers;
