//! What a streamed answer says, as a whole and piece by piece, in any dialect.
//!
//! | | |
//! |---|---|
//! | [`PieceReader`] | the bytes of a body to the data of its events, in any framing |
//! | [`DeltaReader`], [`Delta`] | events to pieces of text, reasoning, refusals and tool calls |
//! | [`Collector`] | events to the one JSON answer that would have come without a stream |
//! | [`expand`] | such an answer to the events that a stream would have had |
//! | [`EventEnds`] | where events end, for whoever passes on only whole ones |
//!
//! All work on [`sse::Event`](crate::sse::Event)s and do no input or output. `sse-layer` has the same
//! as streams over a response's body.

pub(crate) mod collect;
pub(crate) mod delta;
pub(crate) mod ending;
mod ends;
mod error;
pub(crate) mod partial;
mod pieces;
pub(crate) mod tree;

pub use self::{
    collect::{Collector, expand},
    delta::{Delta, DeltaKind, DeltaReader},
    ends::EventEnds,
    error::StreamError,
    pieces::PieceReader,
};
