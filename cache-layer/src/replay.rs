//! A known answer as a body.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::header;
use http_body::{Body, Frame, SizeHint};
use llm_exchange::{
    BoxError, Dialect, Framing,
    sse::{Decoder, Event},
    stream::{Collector, PieceReader, expand},
};
use tokio::time::{Sleep, sleep};

use crate::Entry;

/// A known answer: at once and in as few frames as it has parts, or event by event.
pub(crate) struct Replay {
    parts: Parts,
    left: u64,
}

enum Parts {
    AtOnce(VecDeque<Bytes>),
    One(Bytes),
    Paced(Box<Paced>),
}

struct Paced {
    events: VecDeque<Bytes>,
    pace: Duration,
    /// The pause before the next event.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Replay {
    /// All of it in one frame.
    pub(crate) fn whole(body: Bytes) -> Self {
        Self {
            left: body.len() as u64,
            parts: Parts::One(body),
        }
    }

    /// A stream; with a pace its events, or lines, this far apart.
    pub(crate) fn stream(parts: VecDeque<Bytes>, pace: Option<(Duration, Framing)>) -> Self {
        let left = parts.iter().map(|part| part.len() as u64).sum();
        let parts = match pace {
            None => Parts::AtOnce(parts),
            Some((pace, framing)) => Parts::Paced(Box::new(Paced {
                events: match framing {
                    Framing::Lines => parts.into_iter().flat_map(lines).collect(),
                    _ => events(parts),
                },
                pace,
                pause: None,
            })),
        };
        Self { left, parts }
    }
}

impl Replay {
    /// The bytes that are left.
    pub(crate) const fn len(&self) -> u64 {
        self.left
    }
}

/// The events of a stream, and what stands after the last one.
fn events(parts: VecDeque<Bytes>) -> VecDeque<Bytes> {
    let mut decoder = Decoder::new().max_event_bytes(usize::MAX);
    let mut events = VecDeque::new();
    for part in parts {
        decoder.push(part);
        while let Some(Ok(event)) = decoder.next_event() {
            events.push_back(event.raw().clone());
        }
    }
    let rest = decoder.finish();
    if !rest.raw().is_empty() {
        events.push_back(rest.raw().clone());
    }
    events
}

/// The lines of a part, each with its end.
fn lines(mut part: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', &part).map_or(part.len(), |at| at + 1);
        Some(part.split_to(end)).filter(|line| !line.is_empty())
    })
}

/// The parts of a body without these ranges, which are in order.
pub(crate) fn without(body: &Bytes, ranges: &[Range<u64>]) -> VecDeque<Bytes> {
    let at = |place: u64| usize::try_from(place).map_or(body.len(), |at| at.min(body.len()));
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| at(range.end)));
    let ends = ranges
        .iter()
        .map(|range| at(range.start))
        .chain([body.len()]);
    let parts = starts.zip(ends).filter(|(start, end)| start < end);
    parts.map(|(start, end)| body.slice(start..end)).collect()
}

/// A stream's answer as the JSON that was not streamed. `None`: it can't be put together.
pub(crate) fn collected(entry: &Entry, dialect: Dialect) -> Option<Bytes> {
    let mut pieces = PieceReader::new(framing(dialect)).max_bytes(usize::MAX);
    pieces.push(entry.body.clone());
    let mut collector = Collector::new(dialect);
    while let Some(piece) = pieces.next_piece() {
        collector.push_data(&piece.ok()?).ok()?;
    }
    if let Ok(Some(last)) = pieces.finish() {
        collector.push_data(&last).ok()?;
    }
    collector.finish().ok()
}

/// What a stream that is stored can be paced by, as its head says: events or lines.
pub(crate) fn paced_by(entry: &Entry) -> Option<Framing> {
    let form = entry
        .headers
        .iter()
        .find(|(name, _)| *name == header::CONTENT_TYPE);
    let (_, form) = form?;
    let is = |known: &str| form.as_bytes().starts_with(known.as_bytes());
    if is("text/event-stream") {
        Some(Framing::Sse)
    } else {
        is("application/x-ndjson").then_some(Framing::Lines)
    }
}

/// How a call's stream comes whose path does not say that it is one: only such a call has an answer of
/// the other form.
pub(crate) fn framing(dialect: Dialect) -> Framing {
    match dialect {
        Dialect::Ollama => Framing::Lines,
        _ => Framing::Sse,
    }
}

/// A JSON answer as the stream that it would have been. `None`: it is no answer.
pub(crate) fn expanded(
    entry: &Entry,
    dialect: Dialect,
    with_usage: bool,
) -> Option<VecDeque<Bytes>> {
    let events = expand(dialect, &entry.body, with_usage).ok()?;
    let in_form = |event: &Event| match framing(dialect) {
        Framing::Lines => {
            let line = [&*event.data().unwrap_or_default(), b"\n"].concat();
            line.into()
        }
        _ => event.raw().clone(),
    };
    Some(events.iter().map(in_form).collect())
}

impl Body for Replay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let next = match &mut this.parts {
            Parts::AtOnce(parts) => parts.pop_front(),
            Parts::One(part) => Some(std::mem::take(part)).filter(|part| !part.is_empty()),
            Parts::Paced(paced) => ready!(paced.poll_next(cx)),
        };
        Poll::Ready(next.map(|data| {
            this.left -= data.len() as u64;
            Ok(Frame::data(data))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Paced {
    /// The first event comes at once.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        let next = self.events.pop_front();
        self.pause =
            (next.is_some() && !self.events.is_empty()).then(|| Box::pin(sleep(self.pace)));
        Poll::Ready(next)
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
