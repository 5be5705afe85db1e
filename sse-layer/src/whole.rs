//! Passing on whole events only.

use std::mem;

use bytes::{Bytes, BytesMut};
use llm_exchange::{Framing, stream::EventEnds};
use memchr::{memrchr, memrchr2};

/// An event that is longer is passed on in pieces, so that what is held stays bounded.
const MOST_HELD: usize = 4 << 20;

/// Cuts frames behind the last whole event in them and holds back what has begun, so that whatever
/// is written between two frames stands between two events. No byte is changed, lost or copied, but
/// for an event that comes in three frames or more: its beginning is copied together.
#[derive(Debug)]
pub(crate) struct Whole {
    events: Events,
    held: Held,
    /// An event was passed on, or a part of one.
    begun: bool,
    at: At,
    /// The end of what was passed on is within an event that was too long to hold.
    within: bool,
    most_held: usize,
}

/// How events are told apart.
#[derive(Debug)]
enum Events {
    Sse,
    Lines,
    /// From the front.
    Others(EventEnds),
}

#[derive(Debug)]
enum Held {
    Nothing,
    One(Bytes),
    More(BytesMut),
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Behind a whole event.
    Event,
    /// The same, and the last byte was the CR of its blank line.
    EventAfterCr,
    /// At the start of a line within an event.
    Line,
    /// The same, and the last byte was the CR of the line before.
    LineAfterCr,
    Within,
}

/// What goes on of a frame, with what was held before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) held: Option<Bytes>,
    pub(crate) data: Option<Bytes>,
}

impl Whole {
    pub(crate) fn new(framing: Framing) -> Self {
        let events = match EventEnds::new(framing) {
            Some(ends) => Events::Others(ends),
            None if framing == Framing::Lines => Events::Lines,
            None => Events::Sse,
        };
        Self {
            events,
            held: Held::Nothing,
            begun: false,
            at: At::Event,
            within: false,
            most_held: MOST_HELD,
        }
    }

    /// Whether the frame is whole events and nothing was held before it, as mostly it is: then it is
    /// taken as it is, and goes on. Otherwise it is to be [pushed](Self::push).
    #[inline]
    pub(crate) fn is_whole(&mut self, data: &[u8]) -> bool {
        let ends: &[&[u8]] = match self.events {
            Events::Sse => &[b"\n\n", b"\n\r\n"],
            Events::Lines => &[b"\n"],
            // each byte has to be looked at once, in its order
            Events::Others(_) => return false,
        };
        let whole = !self.is_holding() && ends.iter().any(|end| data.ends_with(end));
        if whole {
            self.at = At::Event;
            self.within = false;
            self.begun = true;
        }
        whole
    }

    /// Takes the next frame.
    #[inline]
    pub(crate) fn push(&mut self, mut data: Bytes) -> Passed {
        if data.is_empty() {
            return Passed::default();
        }
        let end = self.last_end(&data);
        self.at = self.after(&data, end);
        self.begun |= end.is_some();
        if end == Some(data.len()) {
            // mostly a frame is whole events
            self.within = false;
            return Passed {
                held: self.release(),
                data: Some(data),
            };
        }
        let rest = match end {
            None => data,
            Some(end) => {
                let rest = data.split_off(end);
                let passed = Passed {
                    held: self.release(),
                    data: Some(data),
                };
                self.within = false;
                self.held = Held::One(rest);
                return passed;
            }
        };
        self.hold(rest);
        if self.within || self.held_len() > self.most_held {
            self.within = true;
            self.begun = true;
            return Passed {
                held: self.release(),
                data: None,
            };
        }
        Passed::default()
    }

    /// What is held, when nothing comes any more.
    pub(crate) fn release(&mut self) -> Option<Bytes> {
        match mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => None,
            Held::One(bytes) => Some(bytes),
            Held::More(bytes) => Some(bytes.freeze()),
        }
    }

    pub(crate) const fn is_holding(&self) -> bool {
        !matches!(self.held, Held::Nothing)
    }

    /// What has to be written before anything else of ours: the end of an event that was passed on
    /// without it, or the other half of a CRLF.
    pub(crate) const fn missing_end(&self) -> Option<Bytes> {
        match (self.within, &self.events) {
            (false, Events::Sse) if matches!(self.at, At::EventAfterCr) => {
                Some(Bytes::from_static(b"\n"))
            }
            (false, _) | (true, Events::Others(_)) => None,
            (true, Events::Sse) => Some(Bytes::from_static(b"\n\n")),
            (true, Events::Lines) => Some(Bytes::from_static(b"\n")),
        }
    }

    /// Whether something of ours can be written behind what was passed on: not into an element or a
    /// frame that was too long to hold, nor into what is not of the framing.
    pub(crate) const fn can_end(&self) -> bool {
        match &self.events {
            Events::Sse | Events::Lines => true,
            Events::Others(ends) => !self.within && !ends.is_broken(),
        }
    }

    /// The end of an array that has its last element and no more: a broken one is not JSON.
    pub(crate) fn unclosed(&self) -> Option<Bytes> {
        let Events::Others(ends) = &self.events else {
            return None;
        };
        let open = ends.is_array() && !ends.is_closed() && self.begun && self.can_end();
        open.then(|| Bytes::from_static(b"\n]\n"))
    }

    /// Whether an event was passed on.
    pub(crate) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the last byte that was passed on is within an event.
    pub(crate) const fn is_within(&self) -> bool {
        self.within
    }

    fn held_len(&self) -> usize {
        match &self.held {
            Held::Nothing => 0,
            Held::One(bytes) => bytes.len(),
            Held::More(bytes) => bytes.len(),
        }
    }

    fn hold(&mut self, data: Bytes) {
        self.held = match mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => Held::One(data),
            Held::One(first) => {
                let mut all = BytesMut::with_capacity(2 * (first.len() + data.len()));
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                Held::More(all)
            }
            Held::More(mut all) => {
                all.extend_from_slice(&data);
                Held::More(all)
            }
        };
    }

    /// One past the last blank line of the frame.
    #[inline]
    fn last_end(&mut self, data: &[u8]) -> Option<usize> {
        match &mut self.events {
            Events::Sse => {}
            Events::Lines => return memrchr(b'\n', data).map(|last| last + 1),
            Events::Others(ends) => return ends.last_end(data),
        }
        let mut end = data.len();
        while let Some(last) = memrchr2(b'\n', b'\r', &data[..end]) {
            let crlf = data[last] == b'\n' && last > 0 && data[last - 1] == b'\r';
            let start = if crlf { last - 1 } else { last };
            let blank = match start.checked_sub(1) {
                Some(before) => matches!(data[before], b'\n' | b'\r'),
                None => self.is_blank_at_start(data[start] == b'\n'),
            };
            if blank {
                return Some(last + 1);
            }
            end = start;
        }
        None
    }

    /// Whether a line end that is the first thing in a frame ends an event.
    const fn is_blank_at_start(&self, lf: bool) -> bool {
        match self.at {
            At::Event | At::EventAfterCr | At::Line => true,
            // the other half of the CRLF before
            At::LineAfterCr => !lf,
            At::Within => false,
        }
    }

    fn after(&self, data: &[u8], end: Option<usize>) -> At {
        let whole = end == Some(data.len());
        match data.last() {
            Some(b'\r') if whole => At::EventAfterCr,
            Some(_) if whole => At::Event,
            Some(b'\r') => At::LineAfterCr,
            Some(b'\n') => At::Line,
            Some(_) => At::Within,
            None => self.at,
        }
    }
}

#[cfg(test)]
mod tests;
