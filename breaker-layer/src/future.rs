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
    AnswerBody, BoxError, Call, Classify, Dialect, Meter, Payload, Peek, Peeked, ReadPayload,
    Refusal, Room, Verdict, Watch, ask_for_plain_text, peek,
};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    BreakerBody, Settle,
    body::Proof,
    guard::{Ended, Guard, Seat, Turned},
    refusal,
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
    call: Arc<Call>,
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
    call: Arc<Call>,
}

impl<S, R, C> BreakerFuture<S, R, C>
where
    S: Service<Request<Payload>> + Clone,
{
    /// Of a request that was read, which is taken. `ready` is the instance that was polled ready.
    #[inline]
    pub(crate) fn new(
        request: &mut Option<Request<Payload>>,
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
            Ok(request) => Self::new(&mut Some(request), ready, shared, classify),
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

/// Asks the call's circuit, and sends the call, lets it wait or turns it away. A request that is no LLM
/// call is sent, and so is one whose caller is gone: whatever comes of it, it is not judged.
#[inline]
fn begin<S, R>(
    place: &mut Option<Request<Payload>>,
    ready: &mut S,
    shared: &Arc<Shared>,
    judged: &mut Option<Judged>,
) -> State<S, S::Future, R>
where
    S: Service<Request<Payload>> + Clone,
{
    let request = place.as_mut().expect(ONCE);
    let call = match Call::of(request) {
        Some(call) if !request.body().upload_broke() => Arc::clone(call),
        _ => return send(place, ready),
    };
    match Seat::of(shared, request, &call).admit(shared) {
        Ok(mut guard) => {
            guard.read_credential(shared, request);
            ask_for_plain_text(request.headers_mut());
            *judged = Some(Judged { guard, call });
            send(place, ready)
        }
        Err(turned) => match wait(shared, turned, request, call.attempts()) {
            Ok(wait) => State::Waiting {
                waiting: Box::new(Waiting {
                    wait,
                    call,
                    request: place.take().map(|request| (request, take(ready))),
                }),
            },
            Err(turned) => turn(turned, request, &call),
        },
    }
}

#[inline]
fn send<S, R>(place: &mut Option<Request<Payload>>, ready: &mut S) -> State<S, S::Future, R>
where
    S: Service<Request<Payload>>,
{
    State::Sending {
        sent: ready.call(place.take().expect(ONCE)),
    }
}

fn turn<S, F, R>(turned: Turned, request: &mut Request<Payload>, call: &Call) -> State<S, F, R> {
    State::Turned {
        turning: Turning {
            turned,
            dialect: call.dialect(),
            room: Room::of(request),
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
                    let state = begin(&mut Some(request), ready, shared, this.judged);
                    this.state.set(state);
                }
                StateProj::Waiting { waiting } => {
                    let admitted = ready!(waiting.wait.as_mut().poll(cx));
                    let (mut request, mut service) = waiting.request.take().expect(ONCE);
                    let state = match admitted {
                        Ok(guard) => {
                            let call = Arc::clone(&waiting.call);
                            *this.judged = Some(Judged { guard, call });
                            ask_for_plain_text(request.headers_mut());
                            send(&mut Some(request), &mut service)
                        }
                        Err(turned) => turn(turned, &mut request, &waiting.call),
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
                    let Some(Judged { guard, call }) = this.judged.take() else {
                        this.state.set(State::Done);
                        return Poll::Ready(answer.map(unwatched));
                    };
                    match answer {
                        Ok(response) => {
                            match judge::<S::Error, _, _>(response, guard, &call, this.classify, cx)
                            {
                                Ok(response) => {
                                    this.state.set(State::Done);
                                    return Poll::Ready(Ok(response));
                                }
                                Err((guard, peek)) => {
                                    *this.judged = Some(Judged { guard, call });
                                    this.state.set(State::Peeking { peek });
                                }
                            }
                        }
                        Err(error) => {
                            guard.settle(this.classify.error(&error).into());
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    }
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

fn unwatched<R, C>(response: Response<R>) -> Response<BreakerBody<R, C>>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    response.map(|body| Watch::new(AnswerBody::inner(body), None))
}

/// Judges an answer by its head, or says by what it will be judged: as its body passes, or by an error's
/// body that is still to come. Nothing of a stream is held back.
#[inline]
#[allow(clippy::type_complexity, reason = "what is waited for, or the answer")]
fn judge<E, R, C>(
    response: Response<R>,
    guard: Guard,
    call: &Call,
    classify: &C,
    cx: &mut Context<'_>,
) -> Result<Response<BreakerBody<R, C>>, (Guard, Box<Peek<R>>)>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    C: Classify<E> + Clone,
{
    if Refusal::of(&response).is_some() {
        guard.settle(Verdict::Refused.into());
        return Ok(unwatched(response));
    }
    let status = response.status();
    if !status.is_success() {
        let settings = guard.settings();
        let mut peek = peek(response, call, settings.peek, &settings.clock);
        // what is there already is known without storing the future
        return match Pin::new(&mut peek).poll(cx) {
            Poll::Ready((peeked, response)) => {
                Ok(of_error::<E, _, _>(guard, &peeked, response, classify))
            }
            Poll::Pending => Err((guard, Box::new(peek))),
        };
    }
    let settle = |guard, proof| Settle::new::<E>(guard, proof, status, classify.clone());
    if !call.is_stream() && !call.dialect().is_grpc() {
        let settle = settle(guard, Proof::Whole(Whole::default()));
        return Ok(response.map(|body| Watch::new(AnswerBody::inner(body), settle)));
    }
    let (meter, response) = Meter::attach(response, call);
    let settle = settle(guard, Proof::Meter(meter));
    Ok(response.map(|body| Watch::new(body, settle)))
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
