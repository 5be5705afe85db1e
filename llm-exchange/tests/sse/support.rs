//! A run of the decoder, and short ways to one. Shared with the fuzz target.

use bytes::Bytes;
use llm_exchange::sse::{Decoder, Event, Rest, TooLarge};

/// An event as a reader of the stream sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) id: String,
}

/// A run of the decoder.
pub(crate) struct Run {
    pub(crate) blocks: Vec<Result<Event, TooLarge>>,
    pub(crate) rest: Rest,
}

impl Run {
    /// Decodes a stream that comes in these chunks.
    pub(crate) fn over<'c>(
        mut decoder: Decoder,
        chunks: impl IntoIterator<Item = &'c [u8]>,
    ) -> Self {
        let mut blocks = Vec::new();
        for chunk in chunks {
            decoder.push(Bytes::copy_from_slice(chunk));
            blocks.extend(std::iter::from_fn(|| decoder.next_event()));
        }
        let rest = decoder.finish();
        Self { blocks, rest }
    }

    /// The blocks that were not too large.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.blocks.iter().flatten()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.events().filter_map(seen).collect()
    }

    /// The reconnection time set since the event before, in milliseconds, for each event.
    pub(crate) fn retries(&self) -> Vec<Option<u128>> {
        let mut pending = None;
        let mut all = Vec::new();
        for event in self.events() {
            pending = event.retry().or(pending);
            if event.data().is_some() {
                all.push(pending.take().map(|retry| retry.as_millis()));
            }
        }
        all
    }

    /// The bytes of all blocks and of the rest.
    pub(crate) fn raw(&self) -> Vec<u8> {
        let mut raw: Vec<u8> = self
            .events()
            .flat_map(|event| event.raw().to_vec())
            .collect();
        raw.extend_from_slice(self.rest.raw());
        raw
    }
}

pub(crate) fn seen(event: &Event) -> Option<Seen> {
    Some(Seen {
        name: event.name().into_owned(),
        data: String::from_utf8_lossy(&event.data()?).into_owned(),
        id: event.id().to_owned(),
    })
}

pub(crate) fn whole(stream: &str) -> Run {
    Run::over(Decoder::new(), [stream.as_bytes()])
}

pub(crate) fn byte_by_byte(stream: &str) -> Run {
    Run::over(Decoder::new(), stream.as_bytes().chunks(1))
}

/// The data of the events, after a check that the cuts do not matter.
pub(crate) fn data(stream: &str) -> Vec<String> {
    let run = whole(stream);
    assert_eq!(run.seen(), byte_by_byte(stream).seen());
    assert_eq!(run.raw(), stream.as_bytes());
    assert_eq!(byte_by_byte(stream).raw(), stream.as_bytes());
    run.seen().into_iter().map(|seen| seen.data).collect()
}

pub(crate) fn named(name: &str, data: &str, id: &str) -> Seen {
    Seen {
        name: name.into(),
        data: data.into(),
        id: id.into(),
    }
}

pub(crate) fn next(decoder: &mut Decoder) -> Option<Event> {
    decoder
        .next_event()
        .map(|event| event.expect("not too large"))
}
