//! The scan of a stream of events, in any framing.

use bytes::Bytes;

use super::{Marks, Reading, StreamEvent, repeats::Repeats, sse_scan::SseScan, template::Found};
use crate::{
    Call, Dialect, ProviderError,
    cut::{Cutter, Elements, Lines, Uncut},
    dialect::{Framing, Seen},
    event_stream::{self, EventStream, Message},
    grpc::Messages,
};

/// Cuts a stream into its events and lets the dialect read them.
pub(crate) struct StreamScan {
    dialect: Dialect,
    tally: Tally,
    /// bytes pushed, and up to where they were whole events
    scanned: u64,
    boundary: u64,
    cut: Cut,
}

/// A longer event is not read; of Amazon's, the longest that it sends itself.
const LARGEST_EVENT: usize = 4 << 20;
const LARGEST_FRAME: usize = 16 << 20;

#[allow(
    clippy::large_enum_variant,
    reason = "a scan is boxed, and most are of server-sent events"
)]
enum Cut {
    Sse(SseScan),
    Lines(Cutter<Lines>),
    Array(Cutter<Elements>),
    EventStream(EventStream),
    Grpc(Messages),
}

impl StreamScan {
    pub(crate) fn new(call: &Call, framing: Framing) -> Self {
        Self {
            dialect: call.dialect(),
            tally: Tally {
                marks: Marks::of(call.attempts()),
                ..Tally::default()
            },
            scanned: 0,
            boundary: 0,
            cut: match framing {
                Framing::Sse => Cut::Sse(SseScan::default()),
                Framing::Lines => Cut::Lines(Cutter::new(Lines, LARGEST_EVENT)),
                Framing::Array => Cut::Array(Cutter::new(Elements::default(), LARGEST_EVENT)),
                Framing::EventStream => Cut::EventStream(EventStream::new(LARGEST_FRAME)),
                Framing::Grpc => Cut::Grpc(Messages::new(LARGEST_EVENT)),
            },
        }
    }

    pub(crate) const fn framing(&self) -> Framing {
        match self.cut {
            Cut::Sse(_) => Framing::Sse,
            Cut::Lines(_) => Framing::Lines,
            Cut::Array(_) => Framing::Array,
            Cut::EventStream(_) => Framing::EventStream,
            Cut::Grpc(_) => Framing::Grpc,
        }
    }

    /// Reads the next bytes. Returns how many events in them were content.
    pub(crate) fn push(&mut self, data: &Bytes, reading: &mut Reading) -> u64 {
        self.scanned += data.len() as u64;
        let (dialect, scanned) = (self.dialect, self.scanned);
        let before = self.tally.contents;
        let tally = &mut self.tally;
        let unread = match &mut self.cut {
            Cut::Sse(scan) => {
                scan.push(data, scanned, dialect, reading, tally);
                scan.unread_len()
            }
            Cut::Lines(lines) => {
                lines.push(data.clone());
                while let Some(line) = lines.next_piece() {
                    tally.piece(line, scanned - lines.unread_len() as u64, dialect, reading);
                }
                lines.unread_len()
            }
            Cut::Array(elements) => {
                elements.push(data.clone());
                let mut end = self.boundary;
                while let Some(element) = elements.next_piece() {
                    end = scanned - elements.unread_len() as u64;
                    tally.piece(element, end, dialect, reading);
                }
                // what stands between two elements belongs to the second
                if elements.finder().is_behind() {
                    elements.unread_len()
                } else {
                    usize::try_from(scanned - end).unwrap_or(usize::MAX)
                }
            }
            Cut::EventStream(stream) => {
                stream.push(data.clone());
                while let Some(message) = stream.next_message() {
                    let at = scanned - stream.unread_len() as u64;
                    match message {
                        Ok(message) => tally.amazon(&message, at, dialect, reading),
                        Err(Uncut::TooLarge) => tally.too_large(at, reading),
                        Err(Uncut::Broken) => {}
                    }
                }
                stream.unread_len()
            }
            Cut::Grpc(messages) => {
                messages.push(data.clone());
                while let Some(message) = messages.next_message() {
                    let event = match message {
                        Ok(message) if message.compressed => compressed(reading),
                        Ok(message) => (dialect.wire().read_event)(&message.bytes, reading).event,
                        Err(Uncut::TooLarge) => too_large(reading),
                        Err(Uncut::Broken) => continue,
                    };
                    let at = scanned - messages.unread_len() as u64;
                    tally.event(event, &[], || at, reading);
                }
                messages.unread_len()
            }
        };
        self.boundary = self.scanned - unread as u64;
        self.tally.contents - before
    }

    /// The body ended in order. An event whose end is missing is believed as far as it is whole.
    pub(crate) fn finish(&mut self, reading: &mut Reading) {
        // one that is too large and never ended is cut short like any other
        reading.lost &= self.scanned - self.boundary <= LARGEST_EVENT as u64;
        match &mut self.cut {
            Cut::Sse(scan) => {
                if self.boundary < self.scanned {
                    scan.finish(self.scanned, self.dialect, reading, &mut self.tally);
                }
            }
            Cut::Lines(lines) => {
                let rest = Ok(lines.rest());
                self.tally.piece(rest, self.scanned, self.dialect, reading);
            }
            Cut::Array(elements) => reading.done &= elements.finder().is_closed(),
            Cut::EventStream(stream) => reading.done &= !stream.is_within(),
            Cut::Grpc(messages) => reading.done &= !messages.is_within(),
        }
        self.boundary = self.scanned;
    }

    pub(crate) const fn boundary(&self) -> u64 {
        self.boundary
    }

    pub(crate) const fn repeats(&self) -> u64 {
        self.tally.repeats.count()
    }

    /// Events so far; comments are none.
    pub(crate) const fn events(&self) -> u64 {
        self.tally.events
    }
}

/// What is counted of a stream's events.
#[derive(Default)]
pub(super) struct Tally {
    events: u64,
    contents: u64,
    marks: Marks,
    repeats: Repeats,
}

impl Tally {
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
        let event = too_large(reading);
        self.event(event, &[], || at, reading);
    }

    /// A JSON text is an event.
    fn piece(
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
    fn amazon(&mut self, message: &Message, at: u64, dialect: Dialect, reading: &mut Reading) {
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
