//! The layer around scripted providers, in paused time.

mod common;

mod caps;
mod limits;
mod refusals;
mod settling;
mod streams;
