//! For clients: a streamed answer as a [`Stream`](futures_core::Stream).

mod collect;
mod deltas;
mod events;
mod lines;

use std::{error::Error, fmt};

use http::{Response, header};

pub use self::{
    collect::{Collect, collect},
    deltas::{DeltaStream, deltas},
    events::{EventStream, events},
    lines::{LineStream, lines},
};

/// Whether a response is a success with server-sent events.
fn is_event_stream<B>(response: &Response<B>) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.map_or(&b""[..], |kind| kind.as_bytes().trim_ascii_start());
    let start = kind.get(..EVENTS.len());
    response.status().is_success() && start.is_some_and(|start| start.eq_ignore_ascii_case(EVENTS))
}

/// The answer is no stream, or not one that can be read so: it is given back, to be looked at.
pub struct NotAStream<B>(Response<B>);

impl<B> NotAStream<B> {
    /// The answer, of which nothing was read.
    #[must_use]
    pub fn into_response(self) -> Response<B> {
        self.0
    }
}

impl<B> fmt::Display for NotAStream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the answer is no stream that can be read ({})",
            self.0.status()
        )
    }
}

impl<B> fmt::Debug for NotAStream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotAStream")
            .field("status", &self.0.status())
            .finish_non_exhaustive()
    }
}

impl<B> Error for NotAStream<B> {}
