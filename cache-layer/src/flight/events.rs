//! Frames that end where events do.

use bytes::{Bytes, BytesMut};
use llm_exchange::{Framing, stream::EventEnds};
use memchr::{memrchr, memrchr2};

use super::tape::WINDOW;

/// Cuts what comes of a stream behind the last whole event in it, and holds back what has begun, so
/// that each reader has whole events and can be told of an error behind them. No byte is changed or
/// lost. What is no stream passes as it comes.
pub(super) struct Events {
    framing: Option<Framing>,
    /// Of the framings that are read from the front.
    ends: Option<EventEnds>,
    /// The last two bytes that came.
    tail: [u8; 2],
    held: BytesMut,
}

/// A frame, and whether it ends with an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) data: Bytes,
    pub(super) ends: bool,
}

/// An event that is longer is passed on in pieces, so that what is held stays bounded.
const MOST_HELD: usize = WINDOW;

impl Events {
    pub(super) fn new(framing: Option<Framing>) -> Self {
        Self {
            framing,
            ends: framing.and_then(EventEnds::new),
            tail: [0; 2],
            held: BytesMut::new(),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// What goes on of a frame, with what was held before it.
    pub(super) fn push(&mut self, mut data: Bytes) -> Option<Piece> {
        let end = self.last_end(&data);
        for byte in &data[data.len().saturating_sub(2)..] {
            self.tail = [self.tail[1], *byte];
        }
        match end {
            End::None => return Some(Piece { data, ends: false }),
            End::Last(end) => {
                let rest = data.split_off(end);
                let data = self.behind_held(data);
                self.held.extend_from_slice(&rest);
                let is_read = !self.ends.as_ref().is_some_and(EventEnds::is_broken);
                return Some(Piece {
                    data,
                    ends: is_read,
                });
            }
            End::Later => self.held.extend_from_slice(&data),
        }
        let is_long = self.held.len() > MOST_HELD;
        is_long.then(|| self.rest()).flatten()
    }

    /// What is held, when nothing comes any more.
    pub(super) fn rest(&mut self) -> Option<Piece> {
        let data = self.held.split().freeze();
        (!data.is_empty()).then_some(Piece { data, ends: false })
    }

    fn behind_held(&mut self, data: Bytes) -> Bytes {
        if self.held.is_empty() {
            return data;
        }
        self.held.extend_from_slice(&data);
        self.held.split().freeze()
    }

    fn last_end(&mut self, data: &[u8]) -> End {
        let end = match (&mut self.ends, self.framing) {
            (_, None) => return End::None,
            (Some(ends), _) => ends.last_end(data),
            (None, Some(Framing::Lines)) => memrchr(b'\n', data).map(|last| last + 1),
            (None, _) => self.last_blank_line(data),
        };
        end.map_or(End::Later, End::Last)
    }

    fn last_blank_line(&self, data: &[u8]) -> Option<usize> {
        // so many bytes before the end of what came before and this
        let before = |at: usize, back: usize| match at.checked_sub(back) {
            Some(at) => data[at],
            None => self.tail[2 + at - back],
        };
        let mut end = data.len();
        while let Some(last) = memrchr2(b'\n', b'\r', &data[..end]) {
            let is_blank = match (data[last], before(last, 1)) {
                (b'\n', b'\r') => matches!(before(last, 2), b'\n' | b'\r'),
                (_, previous) => matches!(previous, b'\n' | b'\r'),
            };
            if is_blank {
                return Some(last + 1);
            }
            end = last;
        }
        None
    }
}

enum End {
    /// It is no stream.
    None,
    /// The event goes on.
    Later,
    /// The last one ends here.
    Last(usize),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn however_a_stream_is_cut_its_pieces_are_whole_events_and_all_of_it(
            parts in proptest::collection::vec("(data: [ab]{0,3}|:|\r|\n|\r\n|\n\n|\r\n\r\n)", 0..20),
            size in 1_usize..9,
            lines in any::<bool>(),
        ) {
            let text = parts.concat();
            let framing = if lines { Framing::Lines } else { Framing::Sse };
            let mut events = Events::new(Some(framing));
            let pieces: Vec<_> = text
                .as_bytes()
                .chunks(size)
                .filter_map(|chunk| events.push(Bytes::copy_from_slice(chunk)))
                .collect();
            let mut came = Vec::new();
            for piece in pieces {
                came.extend_from_slice(&piece.data);
                prop_assert!(piece.ends);
                let ends: &[&[u8]] = if lines {
                    &[b"\n"]
                } else {
                    &[b"\n\n", b"\r\r", b"\n\r", b"\n\r\n", b"\r\r\n"]
                };
                prop_assert!(ends.iter().any(|end| came.ends_with(end)));
            }
            came.extend(events.rest().map(|piece| piece.data).unwrap_or_default());
            prop_assert_eq!(came, text.as_bytes());
        }
    }

    #[test]
    fn what_is_no_stream_passes_and_an_event_without_an_end_is_not_held_for_ever() {
        let mut none = Events::new(None);
        assert_eq!(none.push(Bytes::from_static(b"{")).unwrap().data, "{");
        let mut events = Events::new(Some(Framing::Sse));
        let mut passed = 0;
        for _ in 0..3 * MOST_HELD / 1000 {
            passed += usize::from(events.push(Bytes::from(vec![b'x'; 1000])).is_some());
            assert!(events.held() <= MOST_HELD);
        }
        assert_eq!(passed, 2);
    }
}
