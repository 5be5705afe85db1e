use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, Classify, Dialect, FromCache, InPlace, Meter, Payload, Peek,
    Peeked, ReadPayload, Refusal, Room, Verdict, Watch, ask_for_plain_text, peek, peek_error,
};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    BreakerBody, Settle,
    body::Proof,
    guard::{Ended, Guard, Seat, Turned},
    refusal,
    settings::Settings,
    shared::Shared,
    wait::{Wait, wait},
    whole::Whole,
};

pin_project! {
    /// The future of [`Breaker`](crate::Breaker).
    #[must_use = "futures do nothing unless polled"]
    pub struct BreakerFuture<S, R, C>
    where
        S: Service<Request<Payload>>,
    {
        #[pin]
        state: State<S, S::Future, R>,
        // none of what is passed through
        judged: Option<Judged>,
        classify: C,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, R> {
        // the caller's body is read
        Reading { reading: Box<Reading<S>> },
        // the circuit is open, and the call waits for a probe's slot
        Waiting { waiting: Box<Waiting<S>> },
        // the circuit is open: no call is sent
        Turned { turning: Turning },
        // the inner response
        Sending { #[pin] sent: F },
        // what the error is
        Peeking { peek: Box<Peek<R>> },
        Done,
    }
}

struct Reading<S> {
    read: ReadPayload,
    service: S,
    shared: Arc<Shared>,
}

struct Waiting<S> {
    wait: Wait,
    asked: Asked,
    /// Taken when the wait is over.
    request: Option<(Request<Payload>, S)>,
}

/// A call that is answered with a refusal.
struct Turning {
    turned: Turned,
    dialect: Dialect,
    room: Room,
}

/// A call that is sent, and by whose end its circuit is told.
struct Judged {
    guard: Guard,
    asked: Asked,
}

/// What is kept of a call that was sent: of most so little that nobody has to count who holds it.
#[derive(Clone)]
enum Asked {
    Whole(Dialect),
    /// A stream, or what may be one: a request that could not be read does not say. And anything over gRPC.
    Events(Arc<Call>),
}

impl Asked {
    fn of(call: &Arc<Call>) -> Self {
        let dialect = call.dialect();
        if call.is_stream() || dialect.is_grpc() || call.unreadable().is_some() {
            Self::Events(Arc::clone(call))
        } else {
            Self::Whole(dialect)
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Whole(dialect) => *dialect,
            Self::Events(call) => call.dialect(),
        }
    }

    /// Reads an answer that is no success.
    fn peek<R>(&self, response: Response<R>, settings: &Settings) -> Peek<R>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let (limits, clock) = (settings.peek, &settings.clock);
        match self {
            Self::Whole(dialect) => peek_error(response, *dialect, limits, clock),
            Self::Events(call) => peek(response, call, limits, clock),
        }
    }
}

impl<S, R, C> BreakerFuture<S, R, C>
where
    S: Service<Request<Payload>> + Clone,
{
    /// Of a request that was read. `ready` is the instance that was polled ready.
    #[inline]
    pub(crate) fn new(
        request: InPlace<'_>,
        ready: &mut S,
        shared: &Arc<Shared>,
        classify: C,
    ) -> Self {
        let mut judged = None;
        Self {
            state: begin(request, ready, shared, &mut judged),
            judged,
            classify,
        }
    }

    /// Of a request whose body may have to be waited for.
    pub(crate) fn reading(
        read: ReadPayload,
        ready: &mut S,
        shared: &Arc<Shared>,
        classify: C,
    ) -> Self {
        match read.now() {
            Ok(request) => {
                let mut judged = None;
                Self {
                    state: begin_read(request, ready, shared, &mut judged),
                    judged,
                    classify,
                }
            }
            Err(read) => Self {
                state: State::Reading {
                    reading: Box::new(Reading {
                        read,
                        service: take(ready),
                        shared: Arc::clone(shared),
                    }),
                },
                judged: None,
                classify,
            },
        }
    }
}

/// A request that turns out to be no LLM call is sent, and not judged.
fn begin_read<S, R>(
    request: Request<Payload>,
    ready: &mut S,
    shared: &Arc<Shared>,
    judged: &mut Option<Judged>,
) -> State<S, S::Future, R>
where
    S: Service<Request<Payload>> + Clone,
{
    let mut request = Some(request);
    if let Some(request) = InPlace::of(&mut request) {
        return begin(request, ready, shared, judged);
    }
    send(request.expect(THERE), ready)
}

/// Asks the call's circuit, and sends the call, lets it wait or turns it away.
#[inline]
fn begin<S, R>(
    mut place: InPlace<'_>,
    ready: &mut S,
    shared: &Arc<Shared>,
    judged: &mut Option<Judged>,
) -> State<S, S::Future, R>
where
    S: Service<Request<Payload>> + Clone,
{
    if place.request().body().upload_broke() {
        // whatever comes of it, the caller is gone
        return send(place.take(), ready);
    }
    let (request, call) = (place.request(), place.call());
    let asked = Asked::of(call);
    match Seat::of(shared, request, call).admit(shared) {
        Ok(mut guard) => {
            guard.read_credential(shared, request);
            ask_for_plain_text(place.headers_mut());
            *judged = Some(Judged { guard, asked });
            send(place.take(), ready)
        }
        Err(turned) => match wait(shared, turned, request, call.attempts()) {
            Ok(wait) => State::Waiting {
                waiting: Box::new(Waiting {
                    wait,
                    asked,
                    request: Some((place.take(), take(ready))),
                }),
            },
            Err(turned) => turn(turned, place.into_room(), asked.dialect()),
        },
    }
}

#[inline]
fn send<S, R>(request: Request<Payload>, ready: &mut S) -> State<S, S::Future, R>
where
    S: Service<Request<Payload>>,
{
    State::Sending {
        sent: ready.call(request),
    }
}

fn turn<S, F, R>(turned: Turned, room: Room, dialect: Dialect) -> State<S, F, R> {
    State::Turned {
        turning: Turning {
            turned,
            dialect,
            room,
        },
    }
}

/// The instance that is ready goes into the future; its clone has to become ready itself.
fn take<S: Clone>(ready: &mut S) -> S {
    let clone = ready.clone();
    mem::replace(ready, clone)
}

impl<S, R, C> Future for BreakerFuture<S, R, C>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    C: Classify<S::Error> + Clone,
{
    type Output = Result<Response<BreakerBody<R, C>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Reading { reading } => {
                    let request = ready!(Pin::new(&mut reading.read).poll(cx));
                    let (shared, ready) = (&reading.shared, &mut reading.service);
                    let state = begin_read(request, ready, shared, this.judged);
                    this.state.set(state);
                }
                StateProj::Waiting { waiting } => {
                    let admitted = ready!(waiting.wait.as_mut().poll(cx));
                    let (mut request, mut service) = waiting.request.take().expect(ONCE);
                    let asked = waiting.asked.clone();
                    let state = match admitted {
                        Ok(guard) => {
                            *this.judged = Some(Judged { guard, asked });
                            ask_for_plain_text(request.headers_mut());
                            send(request, &mut service)
                        }
                        Err(turned) => turn(turned, request.into(), asked.dialect()),
                    };
                    this.state.set(state);
                }
                StateProj::Turned { turning } => {
                    let room = mem::take(&mut turning.room);
                    let refusal = refusal::answer(&turning.turned, Some(turning.dialect), room);
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(refusal.map(|body| Watch::new(body, None))));
                }
                StateProj::Sending { sent } => {
                    let answer = ready!(sent.poll(cx));
                    let judged = this.judged.take();
                    this.state.set(State::Done);
                    let Some(Judged { guard, asked }) = judged else {
                        return Poll::Ready(answer.map(unwatched));
                    };
                    let response = match answer {
                        Ok(response) => response,
                        Err(error) => {
                            guard.settle(this.classify.error(&error).into());
                            return Poll::Ready(Err(error));
                        }
                    };
                    if of_no_call(&response) {
                        guard.settle(Verdict::Refused.into());
                        return Poll::Ready(Ok(unwatched(response)));
                    }
                    if response.status().is_success() {
                        return Poll::Ready(Ok(watched::<S::Error, _, _>(
                            response,
                            guard,
                            &asked,
                            this.classify,
                        )));
                    }
                    let mut peek = asked.peek(response, guard.settings());
                    // what is there already is known without storing the future
                    if let Poll::Ready((peeked, response)) = Pin::new(&mut peek).poll(cx) {
                        return Poll::Ready(Ok(of_error::<S::Error, _, _>(
                            guard,
                            &peeked,
                            response,
                            this.classify,
                        )));
                    }
                    *this.judged = Some(Judged { guard, asked });
                    this.state.set(State::Peeking {
                        peek: Box::new(peek),
                    });
                    return Poll::Pending;
                }
                StateProj::Peeking { peek } => {
                    let (peeked, response) = ready!(Pin::new(peek).poll(cx));
                    this.state.set(State::Done);
                    let Judged { guard, .. } = this.judged.take().expect(ONCE);
                    return Poll::Ready(Ok(of_error::<S::Error, _, _>(
                        guard,
                        &peeked,
                        response,
                        this.classify,
                    )));
                }
                StateProj::Done => panic!("{ONCE}"),
            }
        }
    }
}

const ONCE: &str = "a future is not polled after it was ready";
const THERE: &str = "what is not looked at in its place is still there";

/// Whether a layer further in answered instead of the provider, of whose health that says nothing.
fn of_no_call<R>(response: &Response<R>) -> bool {
    Refusal::of(response).is_some() || FromCache::of(response).is_some()
}

fn unwatched<R, C>(response: Response<R>) -> Response<BreakerBody<R, C>>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    response.map(|body| Watch::new(AnswerBody::inner(body), None))
}

/// A success, which is judged as its body passes. Nothing of it is held back.
#[inline]
fn watched<E, R, C>(
    response: Response<R>,
    guard: Guard,
    asked: &Asked,
    classify: &C,
) -> Response<BreakerBody<R, C>>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    C: Classify<E> + Clone,
{
    let status = response.status();
    let settle = |proof| Settle::new::<E>(guard, proof, status, classify.clone());
    match asked {
        Asked::Whole(dialect) => {
            let settle = settle(Proof::Whole(Whole::new(*dialect)));
            response.map(|body| Watch::new(AnswerBody::inner(body), settle))
        }
        Asked::Events(call) => {
            let (meter, response) = Meter::attach(response, call);
            let settle = settle(Proof::Meter(meter));
            response.map(|body| Watch::new(body, settle))
        }
    }
}

/// An answer whose head, or whose body as an error, tells all.
fn of_error<E, R, C>(
    guard: Guard,
    peeked: &Peeked,
    response: Response<AnswerBody<R>>,
    classify: &C,
) -> Response<BreakerBody<R, C>>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    C: Classify<E>,
{
    guard.settle(Ended::answered(classify.answer(peeked), peeked));
    response.map(|body| Watch::new(body, None))
}

impl<S, R, C> fmt::Debug for BreakerFuture<S, R, C>
where
    S: Service<Request<Payload>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerFuture")
            .field("judged", &self.judged.is_some())
            .finish_non_exhaustive()
    }
}
