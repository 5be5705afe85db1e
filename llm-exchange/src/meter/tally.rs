//! What a stream's events are to its meter, whatever frames them.

use bytes::Bytes;

use super::{Marks, Reading, StreamEvent, repeats::Repeats, template::Found};
use crate::{
    Dialect, ProviderError,
    cut::Uncut,
    dialect::Seen,
    event_stream::{self, Message},
    grpc,
};

/// What is counted of a stream's events.
#[derive(Default)]
pub(super) struct Tally {
    events: u64,
    contents: u64,
    /// Of them, how many were too large to be read.
    lost: u64,
    marks: Marks,
    repeats: Repeats,
}

impl Tally {
    pub(super) fn new(marks: Marks) -> Self {
        Self {
            marks,
            ..Self::default()
        }
    }

    /// An event that ends at `at` of the body was read; its text, as it stands there.
    #[inline]
    pub(super) fn event(
        &mut self,
        event: StreamEvent,
        text: &[u8],
        at: impl FnOnce() -> u64,
        reading: &mut Reading,
    ) {
        self.events += 1;
        if event == StreamEvent::Content {
            self.contents += 1;
            self.repeats.said(text);
        }
        if self.marks.is_reached(reading) {
            self.marks.note(at(), reading);
        }
    }

    /// An event of a shape that was read before.
    #[inline]
    pub(super) fn known(
        &mut self,
        found: &Found<'_>,
        at: impl FnOnce() -> u64,
        reading: &mut Reading,
    ) {
        let event = match found.text {
            [] => StreamEvent::Nothing,
            _ => {
                found.count(reading);
                StreamEvent::Content
            }
        };
        self.event(event, found.text, at, reading);
    }

    /// An event that is dropped, as it is too large to be read.
    pub(super) fn too_large(&mut self, at: u64, reading: &mut Reading) {
        self.lost += 1;
        let event = too_large(reading);
        self.event(event, &[], || at, reading);
    }

    /// A JSON text is an event.
    pub(super) fn piece(
        &mut self,
        piece: Result<Bytes, Uncut>,
        at: u64,
        dialect: Dialect,
        reading: &mut Reading,
    ) {
        match piece {
            Ok(json) if json.trim_ascii().is_empty() => {}
            Ok(json) => {
                let seen = read_json(dialect, &json, reading);
                self.event(seen.event, seen.text(&json), || at, reading);
            }
            Err(Uncut::TooLarge) => self.too_large(at, reading),
            Err(Uncut::Broken) => {}
        }
    }

    /// A frame of Amazon's: an event, or what went wrong. The events of an invoked model are wrapped.
    pub(super) fn amazon(
        &mut self,
        message: &Message,
        at: u64,
        dialect: Dialect,
        reading: &mut Reading,
    ) {
        if !message.is_event() {
            reading.fail(ProviderError::from_amazon(
                message.name(),
                message.payload(),
            ));
            return self.event(StreamEvent::Error, &[], || at, reading);
        }
        let unwrapped = event_stream::unwrapped(message.payload());
        let json = unwrapped.as_deref().unwrap_or(message.payload());
        let seen = read_json(dialect, json, reading);
        self.event(seen.event, seen.text(json), || at, reading);
    }

    /// A message of gRPC.
    pub(super) fn grpc(
        &mut self,
        message: Result<grpc::Message, Uncut>,
        at: u64,
        dialect: Dialect,
        reading: &mut Reading,
    ) {
        let event = match message {
            Ok(message) if message.compressed => compressed(reading),
            Ok(message) => (dialect.wire().read_event)(&message.bytes, reading).event,
            Err(Uncut::TooLarge) => return self.too_large(at, reading),
            Err(Uncut::Broken) => return,
        };
        self.event(event, &[], || at, reading);
    }

    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    pub(super) const fn contents(&self) -> u64 {
        self.contents
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) const fn repeats(&self) -> u64 {
        self.repeats.count()
    }
}

/// Reads an event. One bad byte in its text hides none.
pub(super) fn read_json(dialect: Dialect, json: &[u8], reading: &mut Reading) -> Seen {
    let read_event = dialect.wire().read_event;
    // mostly there is none, and to find that out is several times as fast as to look for it
    if std::str::from_utf8(json).is_ok() {
        return read_event(json, reading);
    }
    Seen {
        holes: None,
        ..read_event(String::from_utf8_lossy(json).as_bytes(), reading)
    }
}

/// An event that is too large to be read: nothing but content is so long, and it may say more.
const fn too_large(reading: &mut Reading) -> StreamEvent {
    reading.lost = true;
    StreamEvent::Content
}

/// A message that can't be read, which is content all the same.
fn compressed(reading: &mut Reading) -> StreamEvent {
    reading.unreadable = true;
    StreamEvent::Content
}
