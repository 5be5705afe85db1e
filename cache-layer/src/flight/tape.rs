//! What has come of an answer's body so far.

use std::{collections::VecDeque, error::Error, fmt, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use llm_exchange::{BoxError, Framing};

use super::events::{Events, Piece};

/// The frames that came, from the first one on as long as all of it may be kept; after that a window
/// behind the last one.
pub(super) struct Tape {
    frames: VecDeque<Piece>,
    /// What came and is not here yet, as an event has not ended.
    events: Events,
    /// How many frames are not here any more.
    gone: u64,
    bytes: usize,
    /// All of it is here, and there is room for more.
    whole: bool,
    end: Option<TapeEnd>,
}

#[derive(Clone)]
pub(super) enum TapeEnd {
    /// In order, with trailers if there were any.
    Ended(Option<HeaderMap>),
    Broke(Arc<BoxError>),
}

/// What stands at a place of the tape.
pub(super) enum At {
    Frame(Piece),
    /// It was here, but is not any more.
    Gone,
    End(TapeEnd),
    /// It has not come yet.
    Nothing,
}

/// Of an answer that is too large to be kept so much stays here for readers that lag.
pub(super) const WINDOW: usize = 1 << 20;

impl Default for Tape {
    fn default() -> Self {
        Self {
            frames: VecDeque::new(),
            events: Events::new(None),
            gone: 0,
            bytes: 0,
            whole: true,
            end: None,
        }
    }
}

impl Tape {
    /// How the events that come are told apart, before the first one.
    pub(super) fn begin(&mut self, framing: Option<Framing>) {
        self.events = Events::new(framing);
    }

    pub(super) fn push(&mut self, data: Bytes) {
        let piece = self.events.push(data);
        self.put(piece);
    }

    /// Nothing comes any more.
    pub(super) fn finish(&mut self) {
        let rest = self.events.rest();
        self.put(rest);
    }

    fn put(&mut self, piece: Option<Piece>) {
        if let Some(piece) = piece {
            self.bytes += piece.data.len();
            self.frames.push_back(piece);
            self.trim();
        }
    }

    pub(super) fn end(&mut self, end: TapeEnd) {
        self.end = Some(end);
    }

    /// The end, if there is one, for the only reader.
    pub(super) fn take_end(&mut self) -> Option<TapeEnd> {
        self.end.take()
    }

    /// It is too large to be kept whole.
    pub(super) fn give_up(&mut self) {
        self.whole = false;
        self.trim();
    }

    fn trim(&mut self) {
        while !self.whole
            && self.bytes > WINDOW
            && self.frames.len() > 1
            && let Some(first) = self.frames.pop_front()
        {
            self.bytes -= first.data.len();
            self.gone += 1;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.events.held()
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn at(&self, place: u64) -> At {
        let Some(index) = place.checked_sub(self.gone) else {
            return At::Gone;
        };
        let frame = usize::try_from(index)
            .ok()
            .and_then(|index| self.frames.get(index));
        match (frame, &self.end) {
            (Some(frame), _) => At::Frame(frame.clone()),
            (None, Some(end)) => At::End(end.clone()),
            (None, None) => At::Nothing,
        }
    }

    /// Whether nothing comes at this place and after it, and the end is in order and has no trailers.
    pub(super) fn is_over_at(&self, place: u64) -> bool {
        place >= self.gone + self.frames.len() as u64
            && matches!(self.end, Some(TapeEnd::Ended(None)))
    }

    /// The whole body in one piece of its own, as frames are often small parts of large buffers. The frames
    /// are parts of it from then on.
    pub(super) fn join(&mut self) -> Option<Bytes> {
        if !self.whole {
            return None;
        }
        let mut body = Vec::with_capacity(self.bytes);
        self.frames
            .iter()
            .for_each(|frame| body.extend_from_slice(&frame.data));
        let body = Bytes::from(body);
        let mut at = 0;
        for frame in &mut self.frames {
            let end = at + frame.data.len();
            frame.data = body.slice(at..end);
            at = end;
        }
        Some(body)
    }
}

/// An error that broke the body which several readers share.
#[derive(Debug)]
pub(super) struct Shared(pub(super) Arc<BoxError>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call that this one shared an answer with broke off")
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(tape: &Tape) -> Vec<usize> {
        tape.frames.iter().map(|frame| frame.data.len()).collect()
    }

    #[test]
    fn an_answer_is_here_whole_until_it_is_too_large_and_then_its_last_mebibyte() {
        let mut tape = Tape::default();
        for _ in 0..5 {
            tape.push(Bytes::from(vec![0; WINDOW / 2]));
        }
        assert_eq!(frames(&tape).len(), 5);
        let joined = tape.join().unwrap();
        assert_eq!(joined.len(), WINDOW / 2 * 5);
        let parts = tape.frames.iter().map(|frame| frame.data.as_ptr());
        let places = (0..5).map(|number| joined[WINDOW / 2 * number..].as_ptr());
        assert!(parts.eq(places), "one copy of it is held");
        tape.give_up();
        assert_eq!(frames(&tape).len(), 2);
        assert!(tape.join().is_none());
        assert!(matches!(tape.at(2), At::Gone));
        assert!(matches!(tape.at(3), At::Frame(_)));
        assert!(matches!(tape.at(5), At::Nothing));
        // one frame is always there, however large
        tape.push(Bytes::from(vec![0; WINDOW * 3]));
        assert_eq!(frames(&tape), [WINDOW * 3]);
        tape.end(TapeEnd::Ended(None));
        assert!(tape.is_over_at(6) && !tape.is_over_at(5));
        assert!(matches!(tape.at(6), At::End(TapeEnd::Ended(None))));
    }
}
