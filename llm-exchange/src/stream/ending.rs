//! What a stream ends with that reached a limit of ours or failed, in the framing it came in.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Serialize;

use crate::{Dialect, Framing, dialect::Problem, event_stream, grpc::prefixed, sse::Event};

/// One of the last events of a stream, as its dialect says it.
pub(crate) struct Last {
    /// Empty where events have none.
    name: &'static str,
    data: Vec<u8>,
}

impl Last {
    pub(crate) fn new(data: impl Into<Vec<u8>>) -> Self {
        Self::named("", data)
    }

    pub(crate) fn named(name: &'static str, data: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            data: data.into(),
        }
    }

    fn sse(self) -> Event {
        match self.name {
            "" => Event::new(self.data),
            name => Event::named(name, self.data),
        }
    }

    /// The frame that Bedrock would send: Converse's events as they are, those of an invoked model
    /// wrapped.
    fn frame(self, dialect: Dialect) -> Vec<u8> {
        #[derive(Serialize)]
        struct Chunk {
            bytes: String,
        }

        if dialect.wire().framing == Framing::EventStream {
            return event_stream::event(self.name, &self.data);
        }
        let bytes = STANDARD.encode(self.data);
        event_stream::event("chunk", &data(&Chunk { bytes }))
    }
}

/// The last events as the bytes of a body. `begun`: there was an event before them.
pub(crate) fn framed(framing: Framing, dialect: Dialect, events: Vec<Last>, begun: bool) -> Bytes {
    if events.is_empty() {
        return Bytes::new();
    }
    if framing == Framing::Array {
        return array(events, begun).into();
    }
    let parts: Vec<_> = events
        .into_iter()
        .map(|event| match framing {
            Framing::Lines | Framing::Array => [&*event.data, b"\n"].concat().into(),
            Framing::EventStream => event.frame(dialect).into(),
            Framing::Grpc => prefixed(&event.data).into(),
            Framing::Sse => event.sse().raw().clone(),
        })
        .collect();
    match <[Bytes; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => parts.concat().into(),
    }
}

/// What an array is cut behind is its last element, without a comma.
fn array(events: Vec<Last>, begun: bool) -> Vec<u8> {
    let mut array = Vec::new();
    for (number, event) in events.into_iter().enumerate() {
        let before = if begun || number > 0 { ",\n" } else { "[" };
        array.extend_from_slice(before.as_bytes());
        array.extend(event.data);
    }
    array.extend_from_slice(b"\n]\n");
    array
}

/// The end of a stream that failed. Nothing in gRPC, which has it in its trailers.
pub(crate) fn of_error(
    problem: &Problem<'_>,
    dialect: Dialect,
    framing: Framing,
    begun: bool,
) -> Bytes {
    match framing {
        Framing::Grpc => Bytes::new(),
        // what an invoked model's own events would say of it, no client of Amazon's reads
        Framing::EventStream => event_stream::exception(problem).into(),
        _ => framed(
            framing,
            dialect,
            (dialect.wire().ended_by_error)(problem),
            begun,
        ),
    }
}

fn data(fields: &impl Serialize) -> Vec<u8> {
    // numbers and strings always serialise
    serde_json::to_vec(fields).unwrap_or_default()
}
