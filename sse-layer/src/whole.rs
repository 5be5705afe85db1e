//! Passing on whole events only.

use std::mem;

use bytes::{Bytes, BytesMut};
use llm_exchange::Framing;
use memchr::{memrchr, memrchr2};

/// An event that is longer is passed on in pieces, so that what is held stays bounded.
const MOST_HELD: usize = 4 << 20;

/// Cuts frames behind the last whole event in them and holds back what has begun, so that whatever
/// is written between two frames stands between two events. No byte is changed, lost or copied, but
/// for an event that comes in three frames or more: its beginning is copied together.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Events are lines instead.
    lines: bool,
    held: Held,
    at: At,
    /// The end of what was passed on is within an event that was too long to hold.
    within: bool,
    most_held: usize,
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
    /// `None`: the events of this framing are not told apart here.
    pub(crate) const fn new(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Sse => Some(Self::events(false)),
            Framing::Lines => Some(Self::events(true)),
            _ => None,
        }
    }

    const fn events(lines: bool) -> Self {
        Self {
            lines,
            held: Held::Nothing,
            at: At::Event,
            within: false,
            most_held: MOST_HELD,
        }
    }

    /// Whether the frame is whole events and nothing was held before it, as mostly it is: then it is
    /// taken as it is, and goes on. Otherwise it is to be [pushed](Self::push).
    #[inline]
    pub(crate) fn is_whole(&mut self, data: &[u8]) -> bool {
        let ends: &[&[u8]] = if self.lines {
            &[b"\n"]
        } else {
            &[b"\n\n", b"\n\r\n"]
        };
        let whole = !self.is_holding() && ends.iter().any(|end| data.ends_with(end));
        if whole {
            self.at = At::Event;
            self.within = false;
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
        match (self.within, self.lines) {
            (false, false) if matches!(self.at, At::EventAfterCr) => {
                Some(Bytes::from_static(b"\n"))
            }
            (false, _) => None,
            (true, false) => Some(Bytes::from_static(b"\n\n")),
            (true, true) => Some(Bytes::from_static(b"\n")),
        }
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
    fn last_end(&self, data: &[u8]) -> Option<usize> {
        if self.lines {
            return memrchr(b'\n', data).map(|last| last + 1);
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
        let mut whole = Whole::events(false);
        let frame = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let passed = whole.push(frame.clone());
        assert_eq!(passed.held, None);
        assert_eq!(passed.data.unwrap().as_ptr(), frame.as_ptr());
        assert!(!whole.is_holding());
    }

    #[test]
    fn what_has_begun_waits_for_its_end_and_is_not_copied() {
        let mut whole = Whole::events(false);
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
            let out = run(&mut Whole::events(false), &chunks);
            assert_eq!(String::from_utf8(out).unwrap(), passed, "{chunks:?}");
        }
    }

    #[test]
    fn an_event_that_is_too_long_to_hold_goes_on_in_pieces_until_its_end() {
        let mut whole = Whole {
            most_held: 10,
            ..Whole::events(false)
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
        let mut whole = Whole::events(true);
        let chunks: [&[u8]; 3] = [b"{\"a\":1}\n{\"b\"", b":2", b"}\r\n"];
        assert_eq!(run(&mut whole, &chunks[..2]), b"{\"a\":1}\n");
        assert_eq!(run(&mut whole, &chunks[2..]), b"{\"b\":2}\r\n");
        assert!(!whole.is_holding());
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
            let mut whole = Whole::events(false);
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
