//! Streams from transcripts and from JSON, and what is read of them.

use bytes::Bytes;
use llm_exchange::{
    Dialect,
    sse::{Decoder, Event},
    stream::{Collector, Delta, DeltaReader, StreamError},
};
use serde_json::Value;

use crate::transcripts;

/// The events of a stream that comes in these chunks.
pub(crate) fn decode<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<Event> {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        events
            .extend(std::iter::from_fn(|| decoder.next_event()).map(|event| event.expect("small")));
    }
    events
}

/// The events of a transcript, which are the same however it is cut.
pub(crate) fn events(name: &str) -> Vec<Event> {
    decode([&*transcripts::bytes(name)])
}

/// A stream of OpenAI chunks with its terminator.
pub(crate) fn chunks(chunks: impl IntoIterator<Item = Value>) -> Vec<Event> {
    let chunks = chunks
        .into_iter()
        .map(|chunk| Event::new(chunk.to_string()));
    chunks.chain([Event::new("[DONE]")]).collect()
}

pub(crate) fn collect(dialect: Dialect, events: &[Event]) -> Result<Value, StreamError> {
    let mut collector = Collector::new(dialect);
    events.iter().try_for_each(|event| collector.push(event))?;
    let answer = collector.finish()?;
    Ok(serde_json::from_slice(&answer).expect("an answer is JSON"))
}

/// The deltas of a stream, with its error or whether it was whole.
pub(crate) fn deltas(dialect: Dialect, events: &[Event]) -> (Vec<Delta>, Result<(), StreamError>) {
    let mut reader = DeltaReader::new(dialect);
    let mut deltas = Vec::new();
    for event in events {
        if let Err(error) = reader.push(event) {
            return (deltas, Err(error));
        }
        deltas.extend(std::iter::from_fn(|| reader.next_delta()));
    }
    (deltas, reader.finish())
}

/// An event that says its own name.
pub(crate) fn named(name: &str, mut fields: Value) -> Event {
    fields["type"] = name.into();
    Event::named(name, fields.to_string())
}
