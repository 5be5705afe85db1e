//! What streams say: as deltas, put together, and taken apart.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod collected;
mod deltas;
mod expanded;
mod limits;
mod others;
mod pieces;
mod support;
#[path = "../common/transcripts.rs"]
mod transcripts;
