//! What streams say: as deltas, put together, and taken apart.

mod collected;
mod deltas;
mod expanded;
mod limits;
mod pieces;
mod support;
#[path = "../common/transcripts.rs"]
mod transcripts;
