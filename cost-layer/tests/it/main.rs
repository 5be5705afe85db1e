//! Calls through the layer, in paused time.

mod alerts;
mod auto_traits;
mod booking;
mod common;
mod drops;
mod ledgers;
