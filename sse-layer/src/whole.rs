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
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// Everything that goes on, and whether each frame ended with a whole event.
    fn run(whole: &mut Whole, chunks: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in chunks {
            let passed = whole.push(Bytes::copy_from_slice(chunk));
            for part in passed.held.iter().chain(&passed.data) {
                out.extend_from_slice(part);
            }
        }
        out
    }

    #[test]
    fn a_frame_of_whole_events_goes_on_as_it_is() {
        let mut whole = Whole::new(Framing::Sse);
        let frame = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let passed = whole.push(frame.clone());
        assert_eq!(passed.held, None);
        assert_eq!(passed.data.unwrap().as_ptr(), frame.as_ptr());
        assert!(!whole.is_holding());
    }

    #[test]
    fn what_has_begun_waits_for_its_end_and_is_not_copied() {
        let mut whole = Whole::new(Framing::Sse);
        let first = Bytes::from_static(b"data: a\n\ndata: b");
        let second = Bytes::from_static(b"c\n\ndata: d");
        let passed = whole.push(first.clone());
        assert_eq!(passed.data.unwrap(), "data: a\n\n");
        let passed = whole.push(second.clone());
        assert_eq!(passed.held.unwrap().as_ptr(), first[9..].as_ptr());
        assert_eq!(passed.data.unwrap().as_ptr(), second.as_ptr());
        assert_eq!(whole.release().unwrap(), "data: d");
    }

    #[test]
    fn every_line_end_and_every_cut_of_one_is_understood() {
        for (chunks, passed) in [
            (vec!["data: a\r\n\r", "\ndata: b"], "data: a\r\n\r\n"),
            (vec!["data: a\r", "\n", "\r", "\n"], "data: a\r\n\r\n"),
            (vec!["data: a\r", "\ndata: b\r\n"], ""),
            (vec!["data: a\n\r", "x"], "data: a\n\r"),
            (vec!["data: a\r\r", "\n"], "data: a\r\r\n"),
            (vec!["data: a\r\n\n", "x"], "data: a\r\n\n"),
            (vec!["\n", ": c\n\n"], "\n: c\n\n"),
            (vec!["", "data: a\n", "", "\n"], "data: a\n\n"),
        ] {
            let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            let out = run(&mut Whole::new(Framing::Sse), &chunks);
            assert_eq!(String::from_utf8(out).unwrap(), passed, "{chunks:?}");
        }
    }

    #[test]
    fn an_event_that_is_too_long_to_hold_goes_on_in_pieces_until_its_end() {
        let mut whole = Whole {
            most_held: 10,
            ..Whole::new(Framing::Sse)
        };
        assert_eq!(run(&mut whole, &[b"data: 1234"]), b"");
        assert_eq!(run(&mut whole, &[b"5"]), b"data: 12345");
        assert!(whole.is_within());
        assert_eq!(run(&mut whole, &[b"6"]), b"6");
        assert!(whole.is_within());
        assert_eq!(run(&mut whole, &[b"7\n\ndata"]), b"7\n\n");
        assert!(!whole.is_within() && whole.is_holding());
    }

    #[test]
    fn a_line_may_be_an_event_too() {
        let mut whole = Whole::new(Framing::Lines);
        let chunks: [&[u8]; 3] = [b"{\"a\":1}\n{\"b\"", b":2", b"}\r\n"];
        assert_eq!(run(&mut whole, &chunks[..2]), b"{\"a\":1}\n");
        assert_eq!(run(&mut whole, &chunks[2..]), b"{\"b\":2}\r\n");
        assert!(!whole.is_holding());
    }

    #[test]
    fn an_element_goes_on_with_the_comma_before_it_and_waits_for_its_end() {
        let mut whole = Whole::new(Framing::Array);
        assert_eq!(run(&mut whole, &[b"[", b"\n{\"a\""]), b"");
        assert!(!whole.has_begun() && whole.can_end());
        assert_eq!(run(&mut whole, &[b":1}\n,\n", b"{"]), b"[\n{\"a\":1}");
        assert!(whole.has_begun() && whole.can_end());
        assert_eq!(run(&mut whole, &[b"}\n]", b"\n"]), b"\n,\n{}\n]\n");
        assert!(!whole.is_holding());
    }

    #[test]
    fn what_is_too_long_to_hold_or_not_of_the_framing_cannot_be_ended() {
        let mut whole = Whole {
            most_held: 10,
            ..Whole::new(Framing::Grpc)
        };
        assert_eq!(
            run(&mut whole, &[b"\0\0\0\0\x01a\0\0\0\0\x09"]),
            b"\0\0\0\0\x01a"
        );
        assert!(whole.can_end());
        run(&mut whole, &[b"123456"]);
        assert!(whole.is_within() && !whole.can_end());
        assert_eq!(run(&mut whole, &[b"789", b"\0"]), b"789");
        assert!(whole.can_end());

        let mut whole = Whole::new(Framing::Array);
        assert_eq!(run(&mut whole, &[b"<html>"]), b"<html>");
        assert!(!whole.can_end() && !whole.is_holding());
    }

    /// By the definition: up to the last line end that follows a line end, CRLF being one.
    fn naive(stream: &[u8]) -> usize {
        let (mut whole, mut blank, mut i) = (0, true, 0);
        while i < stream.len() {
            let crlf = stream[i..].starts_with(b"\r\n");
            if crlf || matches!(stream[i], b'\r' | b'\n') {
                i += if crlf { 2 } else { 1 };
                if blank {
                    whole = i;
                }
                blank = true;
            } else {
                blank = false;
                i += 1;
            }
        }
        whole
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_passed_on_is_always_all_whole_events_and_nothing_else(
            chunks in vec(vec(select(b"\n\r\n\r:dx".to_vec()), 0..5), 0..12),
        ) {
            let mut whole = Whole::new(Framing::Sse);
            let (mut stream, mut out) = (Vec::new(), Vec::new());
            for chunk in &chunks {
                stream.extend_from_slice(chunk);
                out.extend(run(&mut whole, &[chunk]));
                prop_assert_eq!(&*out, &stream[..naive(&stream)]);
                prop_assert!(!whole.is_within());
            }
            out.extend(whole.release().unwrap_or_default());
            prop_assert_eq!(out, stream);
        }
    }
}
