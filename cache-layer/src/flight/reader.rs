//! One of the readers of a flight.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use llm_exchange::{BoxError, Cut, CutShort, Dialect, ErrorAnswer, Meter};

use super::tape::{At, Shared, TapeEnd};

/// A flight, whatever its types.
pub(super) trait Tap: Send + Sync {
    fn poll_at(&self, place: u64, seat: usize, cx: &mut Context<'_>) -> Poll<At>;
    fn is_over_at(&self, place: u64) -> bool;
    fn length(&self) -> Option<u64>;
    fn leave(&self, seat: usize, leads: bool);
}

/// A reader's seat in a flight, given back when it is dropped.
pub(crate) struct Seat {
    tap: Arc<dyn Tap>,
    number: usize,
    leads: bool,
}

impl Seat {
    pub(super) fn new(tap: Arc<dyn Tap>, number: usize, leads: bool) -> Self {
        Self { tap, number, leads }
    }

    /// Its number, and whether it is of who began the flight.
    pub(crate) const fn place(&self) -> (usize, bool) {
        (self.number, self.leads)
    }

    pub(crate) const fn leads(&self) -> bool {
        self.leads
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.tap.leave(self.number, self.leads);
    }
}

/// The body of a shared answer, for one reader: what came so far, then what comes.
pub(crate) struct Reader {
    seat: Seat,
    place: u64,
    read: u64,
    /// The last bytes that were handed on.
    tail: [u8; 4],
    meter: Meter,
    /// Server-sent events, between which something else can be said.
    has_events: bool,
    /// Nothing comes after this.
    over: bool,
}

impl Reader {
    /// The body, after the head is known.
    pub(crate) fn new(seat: Seat, meter: Meter, headers: &HeaderMap) -> Self {
        Self {
            seat,
            place: 0,
            read: 0,
            tail: [b'\n'; 4],
            has_events: meter.is_stream() && has_events(headers),
            meter,
            over: false,
        }
    }

    fn handed_on(&mut self, data: &Bytes) {
        self.place += 1;
        self.read += data.len() as u64;
        for byte in &data[data.len().saturating_sub(4)..] {
            self.tail.rotate_left(1);
            self.tail[3] = *byte;
        }
    }

    fn is_between_events(&self) -> bool {
        self.tail.ends_with(b"\n\n") || self.tail.ends_with(b"\r\r") || &self.tail == b"\r\n\r\n"
    }

    /// The answer went on without this reader. Its end is an error, never a clean one.
    fn lagged(&mut self) -> Result<Frame<Bytes>, BoxError> {
        self.over = true;
        self.meter.cut(Cut::Limit);
        let message = "the answer was read too slowly, and is too large to wait for its reader";
        if self.has_events && self.is_between_events() {
            let status = StatusCode::GATEWAY_TIMEOUT;
            let error = ErrorAnswer::new(status, "read_too_slowly", message)
                .event_number(self.meter.next_event_number());
            return Ok(Frame::data(error.in_stream(Some(self.dialect()))));
        }
        Err(CutShort::new(Cut::Limit, message).into())
    }

    fn dialect(&self) -> Dialect {
        self.meter.dialect()
    }
}

/// Whether a body is of server-sent events.
fn has_events(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|content_type| content_type.starts_with(b"text/event-stream"))
}

impl Body for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        Poll::Ready(
            match ready!(this.seat.tap.poll_at(this.place, this.seat.number, cx)) {
                At::Frame(data) => {
                    this.handed_on(&data);
                    Some(Ok(Frame::data(data)))
                }
                At::Gone => Some(this.lagged()),
                At::End(end) => {
                    this.over = true;
                    match end {
                        TapeEnd::Ended(trailers) => {
                            trailers.map(|trailers| Ok(Frame::trailers(trailers)))
                        }
                        TapeEnd::Broke(error) => Some(Err(match Arc::try_unwrap(error) {
                            Ok(error) => error,
                            Err(shared) => Box::new(Shared(shared)),
                        })),
                    }
                }
                At::Nothing => return Poll::Pending,
            },
        )
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.seat.tap.is_over_at(self.place)
    }

    fn size_hint(&self) -> SizeHint {
        match self.seat.tap.length() {
            Some(length) if !self.over => SizeHint::with_exact(length.saturating_sub(self.read)),
            Some(_) => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("leads", &self.seat.leads)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}
