//! What a streamed answer says, as a whole and piece by piece, in any dialect.
//!
//! | | |
//! |---|---|
//! | [`DeltaReader`], [`Delta`] | events to pieces of text, reasoning, refusals and tool calls |
//! | [`Collector`] | events to the one JSON answer that would have come without a stream |
//! | [`expand`] | such an answer to the events that a stream would have had |
//!
//! All work on [`sse::Event`](crate::sse::Event)s and do no input or output. `sse-layer` has the same
//! as streams over a response's body.

mod anthropic;
mod collect;
mod delta;
pub(crate) mod ending;
mod error;
mod openai_chat;
mod partial;
mod tree;

pub use self::{
    collect::{Collector, expand},
    delta::{Delta, DeltaKind, DeltaReader},
    error::StreamError,
};
