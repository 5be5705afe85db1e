//! One of the readers of a flight.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use llm_exchange::{BoxError, Cut, CutShort, ErrorAnswer, Framing, Meter};

use super::{
    events::Piece,
    tape::{At, Shared, TapeEnd},
};

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
    /// What was handed on ends with an event, behind which something else can be said.
    between: bool,
    meter: Meter,
    /// Nothing comes after this.
    over: bool,
}

impl Reader {
    /// The body, after the head is known.
    pub(crate) fn new(seat: Seat, meter: Meter) -> Self {
        Self {
            seat,
            place: 0,
            read: 0,
            between: true,
            meter,
            over: false,
        }
    }

    fn handed_on(&mut self, piece: &Piece) {
        self.place += 1;
        self.read += piece.data.len() as u64;
        self.between = piece.ends;
    }

    /// The answer went on without this reader. Its end is an error, never a clean one.
    fn lagged(&mut self) -> Result<Frame<Bytes>, BoxError> {
        self.over = true;
        self.meter.cut(Cut::Limit);
        let message = "the answer was read too slowly, and is too large to wait for its reader";
        let error = ErrorAnswer::new(StatusCode::GATEWAY_TIMEOUT, "read_too_slowly", message)
            .event_number(self.meter.next_event_number());
        match self.meter.framing() {
            Some(Framing::Grpc) => Ok(Frame::trailers(error.trailers())),
            Some(framing) if self.between => {
                let begun = self.read > 0;
                let error = error.in_framing(self.meter.dialect(), framing, begun);
                Ok(Frame::data(error))
            }
            _ => Err(CutShort::new(Cut::Limit, message).into()),
        }
    }
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
                At::Frame(piece) => {
                    this.handed_on(&piece);
                    Some(Ok(Frame::data(piece.data)))
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
