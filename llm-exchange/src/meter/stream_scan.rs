//! The scan of a stream of events, in any framing.

use bytes::Bytes;

use super::{
    Marks, Reading,
    sse_scan::SseScan,
    tail::{self, Tail},
    tally::Tally,
};
use crate::{
    Call, Dialect,
    cut::{Cutter, Elements, Lines, Uncut},
    dialect::Framing,
    event_stream::EventStream,
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
    /// Of an event that is too large.
    tail: Tail,
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
            tally: Tally::new(Marks::of(call.attempts())),
            scanned: 0,
            boundary: 0,
            tail: Tail::default(),
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
        // an event may become too large with these bytes
        let may_be_lost = self.unread() + data.len() as u64 > (LARGEST_EVENT - tail::LENGTH) as u64;
        if !may_be_lost || matches!(self.framing(), Framing::Grpc | Framing::EventStream) {
            return self.read(data, reading);
        }
        let (lost, usages) = (self.tally.lost(), reading.usages());
        let was_lost = self.is_within_lost();
        self.tail.push(data);
        let contents = self.read(data, reading);
        if self.is_within_lost() {
            return contents;
        }
        // the last usage counts, and that of an event behind it was read
        if (was_lost || self.tally.lost() > lost) && reading.usages() == usages {
            self.tail.read_last_usage(self.dialect, reading);
        }
        if self.unread() < (LARGEST_EVENT - tail::LENGTH) as u64 {
            self.tail.clear();
        }
        contents
    }

    /// Bytes of an event whose end is not here.
    const fn unread(&self) -> u64 {
        self.scanned - self.boundary
    }

    const fn is_within_lost(&self) -> bool {
        self.unread() > LARGEST_EVENT as u64
    }

    fn read(&mut self, data: &Bytes, reading: &mut Reading) -> u64 {
        self.scanned += data.len() as u64;
        let (dialect, scanned) = (self.dialect, self.scanned);
        let before = self.tally.contents();
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
                    let at = scanned - messages.unread_len() as u64;
                    tally.grpc(message, at, dialect, reading);
                }
                messages.unread_len()
            }
        };
        self.boundary = self.scanned - unread as u64;
        self.tally.contents() - before
    }

    /// The body ended in order. An event whose end is missing is believed as far as it is whole.
    pub(crate) fn finish(&mut self, reading: &mut Reading) {
        // one that is too large and never ended is cut short like any other
        reading.lost &= !self.is_within_lost();
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
        self.tally.repeats()
    }

    /// Events so far; comments are none.
    pub(crate) const fn events(&self) -> u64 {
        self.tally.events()
    }
}
