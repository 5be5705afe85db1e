//! One upstream call for equal calls at the same time.
//!
//! A flight is an upstream call that several callers read: its head, then its body, from the first byte
//! on. It has **no task of its own**: whoever is polled and finds nothing new polls the upstream call,
//! with a waker that wakes all who wait. So the call goes on as long as anybody reads, whoever began it
//! and whoever has gone or stands still, and nothing runs while nobody is woken. When the last reader
//! goes, the call is dropped.

mod events;
mod joined;
mod reader;
mod registry;
mod tape;
#[cfg(test)]
mod tests;
mod told;
mod turn;
mod upstream;
mod wakers;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, response};
use http_body::Body;
use llm_exchange::{BoxError, Call, Meter, Payload, PeekLimits, WallClock};
use tower_service::Service;

use crate::NotKept;

pub(crate) use self::{
    reader::{Reader, Seat},
    registry::{Each, Flights, Joined, Place, Registration},
    told::OnEnd,
    upstream::{Failure, Sending},
};
use self::{
    tape::{Tape, TapeEnd},
    told::{Head, Known, Told},
    turn::{Took, Turn},
    upstream::{Next, Upstream},
    wakers::Wakers,
};

/// An upstream call and who reads it.
pub(crate) struct Flight<S: Service<Request<Payload>>, R> {
    upstream: Turn<Upstream<S, R>>,
    told: Mutex<Told<S::Error, R>>,
    wakers: Arc<Wakers>,
    /// Wakes all who wait.
    waker: Waker,
    flights: Arc<Flights>,
    /// Of the answer's bytes, those that are held to be kept, and after its end for its readers.
    held: AtomicUsize,
    largest: usize,
    asked_usage: bool,
    /// Gone when the flight can be joined no more.
    registrations: Mutex<Vec<Registration>>,
}

/// What a flight needs beside the service and the request.
pub(crate) struct FlightSettings {
    pub(crate) limits: PeekLimits,
    pub(crate) clock: WallClock,
    /// The most bytes of an answer that is kept.
    pub(crate) largest: usize,
}

/// What came of waiting for the head.
pub(crate) enum Outcome<E, R> {
    /// The head of the answer, with a meter for this reader, which is returned too.
    Answer(Response<()>, Meter),
    /// The call failed; this is for who began it.
    Failed(Failure<E, R>),
    /// The call failed, which says nothing of this one: it may try for itself. `outage`: an answer past
    /// its time is better than this failure.
    OnesOwn { outage: bool },
}

impl<S, R> Flight<S, R>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// A flight at its start; nothing is sent before it is polled.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is another thing, and it is called once"
    )]
    pub(crate) fn new(
        service: S,
        request: Sending,
        call: Arc<Call>,
        asked_usage: bool,
        settings: FlightSettings,
        flights: Arc<Flights>,
        registrations: Vec<Registration>,
        on_end: Option<OnEnd>,
    ) -> Arc<Self> {
        let FlightSettings {
            limits,
            clock,
            largest,
        } = settings;
        let wakers = Arc::<Wakers>::default();
        Arc::new(Self {
            upstream: Turn::new(Upstream::new(service, request, call, limits, clock)),
            waker: Waker::from(Arc::clone(&wakers)),
            wakers,
            told: Mutex::new(Told {
                head: Head::Awaited,
                tape: Tape::default(),
                gave_up: None,
                whole: None,
                leader_left: false,
                on_end,
            }),
            flights,
            held: AtomicUsize::new(0),
            largest,
            asked_usage,
            registrations: Mutex::new(registrations),
        })
    }

    /// Whether one more can read it from its first byte on.
    pub(crate) fn admits(&self) -> bool {
        let told = self.told();
        match told.head {
            Head::Awaited => true,
            Head::Known(_) => told.tape.is_whole(),
            Head::Failed { .. } => false,
        }
    }

    /// The head, for the reader of this seat.
    pub(crate) fn poll_head(
        &self,
        seat: usize,
        leads: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<S::Error, R>> {
        let mut waits = false;
        loop {
            if let Some(outcome) = self.outcome(leads) {
                self.wakers.no_longer(seat);
                return Poll::Ready(outcome);
            }
            // first the waker, then a look at what there is: so nothing is missed between
            if !waits {
                self.wakers.wait(seat, cx.waker());
                waits = true;
            } else if self.drive(seat) {
                // its waker was taken, and there may be nothing new for it: an empty frame
                waits = false;
            } else {
                return Poll::Pending;
            }
        }
    }

    fn outcome(&self, leads: bool) -> Option<Outcome<S::Error, R>> {
        let mut told = self.told();
        match &mut told.head {
            Head::Awaited => None,
            Head::Failed { failure, .. } if leads => failure.take().map(Outcome::Failed),
            Head::Failed { outage, .. } => Some(Outcome::OnesOwn { outage: *outage }),
            Head::Known(known) => {
                let mut head = response::Response::new(()).into_parts().0;
                head.status = known.status;
                head.version = known.version;
                head.headers = known.headers.clone();
                if leads {
                    head.extensions = known.extensions.take().unwrap_or_default();
                }
                let meter = known.meter.for_reader();
                head.extensions.insert(meter.clone());
                Some(Outcome::Answer(Response::from_parts(head, ()), meter))
            }
        }
    }

    /// Polls the upstream call, unless somebody else does just now. True: there is more to see.
    fn drive(&self, seat: usize) -> bool {
        let took = self.upstream.take(|upstream| {
            let mut poll = Polled {
                flight: self,
                upstream,
                came_back: false,
            };
            let took = poll.poll();
            poll.came_back = true;
            took
        });
        match took {
            Took::Ready(()) => {
                self.wakers.no_longer(seat);
                self.wakers.wake_all();
                true
            }
            Took::Pending { missed: true } => {
                self.wakers.wake_others(seat);
                false
            }
            Took::Pending { missed: false } | Took::Busy => false,
        }
    }

    fn tell(&self, next: Next<S::Error, R>, length: Option<u64>) {
        match next {
            Next::Head(response, meter) => {
                let (head, ()) = response.into_parts();
                let mut told = self.told();
                told.tape.begin(meter.framing());
                told.head = Head::Known(Box::new(Known {
                    status: head.status,
                    version: head.version,
                    headers: head.headers,
                    meter,
                    extensions: Some(head.extensions),
                    length,
                }));
            }
            Next::Failed(failure) => {
                self.unregister();
                let mut told = self.told();
                let left = told.leader_left;
                told.head = Head::Failed {
                    outage: failure.is_outage(),
                    failure: Some(failure).filter(|_| !left),
                };
            }
            Next::Data(data, last) => {
                self.record(data);
                if last {
                    self.ended(TapeEnd::Ended(None));
                }
            }
            Next::Ended(trailers) => self.ended(TapeEnd::Ended(trailers)),
            Next::Broke(error) => self.ended(TapeEnd::Broke(Arc::new(error))),
        }
    }

    fn record(&self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let size = data.len();
        let mut told = self.told();
        told.tape.push(data);
        if told.tape.is_whole() {
            let why = if told.tape.bytes() > self.largest {
                NotKept::TooLarge
            } else if self.flights.hold(size) {
                self.held.fetch_add(size, Relaxed);
                return;
            } else {
                NotKept::NoRoom
            };
            told.gave_up = Some(why);
            told.tape.give_up();
            self.let_go();
        }
    }

    fn ended(&self, end: TapeEnd) {
        let in_order = matches!(end, TapeEnd::Ended(None));
        let to_be_kept = {
            let mut told = self.told();
            told.tape.finish();
            let head = match &told.head {
                Head::Known(known) => Some((known.headers.clone(), known.meter.clone())),
                Head::Awaited | Head::Failed { .. } => None,
            };
            let to_be_kept = told.on_end.take().zip(head).filter(|_| in_order);
            if to_be_kept.is_some() {
                told.whole = told.tape.join();
            }
            let why = told.gave_up.unwrap_or(NotKept::TooLarge);
            let body = told.whole.clone().ok_or(why);
            to_be_kept.map(|kept| (kept, body))
        };
        // it is in the store before anybody can ask again, and before no flight is found
        if let Some(((on_end, (headers, meter)), body)) = to_be_kept {
            on_end(&headers, &meter, body);
        }
        self.told().tape.end(end);
        self.unregister();
    }

    /// All of the body in one piece, which its readers share, after its end. `None`: it was too large to be
    /// held, or is not to be kept.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        self.told().whole.clone()
    }

    fn told(&self) -> MutexGuard<'_, Told<S::Error, R>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Service<Request<Payload>>, R> Flight<S, R> {
    /// Whether the answer has its usage because it was asked for, by whomever.
    pub(crate) const fn asked_usage(&self) -> bool {
        self.asked_usage
    }

    fn unregister(&self) {
        let registrations = std::mem::take(
            &mut *self
                .registrations
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        drop(registrations);
    }

    fn let_go(&self) {
        self.flights.let_go(self.held.swap(0, Relaxed));
    }
}

/// One poll of the upstream call. Where it does not come back, as the service panics, nobody polls the
/// call any more, and no reader waits for it.
struct Polled<'f, S, R>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    flight: &'f Flight<S, R>,
    upstream: &'f mut Upstream<S, R>,
    came_back: bool,
}

impl<S, R> Polled<'_, S, R>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// `None`: there is nothing yet.
    fn poll(&mut self) -> Option<()> {
        let mut cx = Context::from_waker(&self.flight.waker);
        match self.upstream.poll_next(&mut cx) {
            Poll::Ready(next) => {
                self.flight.tell(next, self.upstream.exact_length());
                Some(())
            }
            Poll::Pending => None,
        }
    }
}

impl<S, R> Drop for Polled<'_, S, R>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    fn drop(&mut self) {
        if self.came_back {
            return;
        }
        self.upstream.fall();
        let is_awaited = matches!(self.flight.told().head, Head::Awaited);
        self.flight.tell(
            if is_awaited {
                Next::Failed(self.upstream.fallen())
            } else {
                Next::Broke("the service panicked".into())
            },
            None,
        );
        self.flight.wakers.wake_all();
    }
}

impl<S: Service<Request<Payload>>, R> Drop for Flight<S, R> {
    fn drop(&mut self) {
        self.let_go();
    }
}
