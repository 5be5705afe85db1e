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
    AnswerBody, BoxError, Call, Classify, Meter, Payload, Peek, Peeked, ReadPayload, Refusal,
    Verdict, Watch, ask_for_plain_text, peek,
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
        guard: Option<Guard>,
        // none either
        call: Option<Arc<Call>>,
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
        Turned { turned: Option<Turned> },
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
    /// Taken when the wait is over.
    call: Option<(Request<Payload>, S)>,
}

/// What a request asks for, if its circuit is asked about it.
fn judged(request: &Request<Payload>) -> Option<Arc<Call>> {
    // where the upload broke, nobody is there any more whose call could fail
    let call = Call::of(request).filter(|_| !request.body().upload_broke())?;
    Some(Arc::clone(call))
}

/// Asks the circuit.
fn admit(
    request: &mut Request<Payload>,
    call: &Call,
    shared: &Arc<Shared>,
) -> Result<Guard, (Seat, Turned)> {
    ask_for_plain_text(request.headers_mut());
    let seat = Seat::of(shared, request, call);
    seat.admit(shared).map_err(|turned| (seat, turned))
}

/// The call is refused, at once or after it has waited. `ready` is the instance that was polled ready.
fn turn<S: Service<Request<Payload>> + Clone, R>(
    (seat, turned): (Seat, Turned),
    request: Request<Payload>,
    call: &Call,
    shared: &Arc<Shared>,
    ready: &mut S,
) -> State<S, S::Future, R> {
    match wait(shared, seat, turned, call.attempts().deadline()) {
        Ok(wait) => State::Waiting {
            waiting: Box::new(Waiting {
                wait,
                call: Some((request, take(ready))),
            }),
        },
        Err(turned) => State::Turned {
            turned: Some(turned),
        },
    }
}

/// The instance that is ready goes into the future; its clone has to become ready itself.
fn take<S: Clone>(ready: &mut S) -> S {
    let clone = ready.clone();
    mem::replace(ready, clone)
}

impl<S, R, C> BreakerFuture<S, R, C>
where
    S: Service<Request<Payload>> + Clone,
{
    pub(crate) fn new(read: ReadPayload, ready: &mut S, shared: &Arc<Shared>, classify: C) -> Self {
        let mut request = match read.now() {
            Ok(request) => request,
            Err(read) => {
                let reading = Box::new(Reading {
                    read,
                    service: take(ready),
                    shared: Arc::clone(shared),
                });
                return Self {
                    state: State::Reading { reading },
                    guard: None,
                    call: None,
                    classify,
                };
            }
        };
        let call = judged(&request);
        let admitted = call.as_ref().map(|call| admit(&mut request, call, shared));
        let (state, guard) = match (admitted.transpose(), &call) {
            (Err(refused), Some(call)) => (turn(refused, request, call, shared, ready), None),
            (admitted, _) => {
                let sent = ready.call(request);
                (State::Sending { sent }, admitted.ok().flatten())
            }
        };
        Self {
            state,
            guard,
            call,
            classify,
        }
    }
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
                    let mut request = ready!(Pin::new(&mut reading.read).poll(cx));
                    *this.call = judged(&request);
                    let (shared, ready) = (&reading.shared, &mut reading.service);
                    let call = this.call.as_ref();
                    let admitted = call.map(|call| admit(&mut request, call, shared));
                    let state = match (admitted.transpose(), call) {
                        (Err(refused), Some(call)) => turn(refused, request, call, shared, ready),
                        (admitted, _) => {
                            *this.guard = admitted.ok().flatten();
                            let sent = ready.call(request);
                            State::Sending { sent }
                        }
                    };
                    this.state.set(state);
                }
                StateProj::Waiting { waiting } => {
                    let admitted = ready!(waiting.wait.as_mut().poll(cx));
                    let call = waiting.call.take();
                    let state = match (admitted, call) {
                        (Ok(guard), Some((request, mut service))) => {
                            *this.guard = Some(guard);
                            State::Sending {
                                sent: service.call(request),
                            }
                        }
                        (Err(turned), _) => State::Turned {
                            turned: Some(turned),
                        },
                        (Ok(_), None) => State::Done,
                    };
                    this.state.set(state);
                }
                StateProj::Turned { turned } => {
                    let turned = turned.take().expect(ONCE);
                    let dialect = this.call.as_ref().map(|call| call.dialect());
                    let response = refusal::response(&turned, dialect);
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(response.map(|body| Watch::new(body, None))));
                }
                StateProj::Sending { sent } => {
                    let answer = ready!(sent.poll(cx));
                    let (Some(guard), Some(call)) = (this.guard.take(), &*this.call) else {
                        this.state.set(State::Done);
                        return Poll::Ready(answer.map(unwatched));
                    };
                    match answer {
                        Ok(response) => {
                            match judge::<S::Error, _, _>(response, guard, call, this.classify, cx)
                            {
                                Judged::Here(response) => {
                                    this.state.set(State::Done);
                                    return Poll::Ready(Ok(response));
                                }
                                Judged::Peek(guard, peek) => {
                                    *this.guard = Some(guard);
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
                    let guard = this.guard.take().expect(ONCE);
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

enum Judged<R, C>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// Or to be judged as its body passes.
    Here(Response<BreakerBody<R, C>>),
    Peek(Guard, Box<Peek<R>>),
}

/// Judges an answer by its head, or says by what it will be judged. Nothing of a stream is held back.
fn judge<E, R, C>(
    response: Response<R>,
    guard: Guard,
    call: &Call,
    classify: &C,
    cx: &mut Context<'_>,
) -> Judged<R, C>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    C: Classify<E> + Clone,
{
    if Refusal::of(&response).is_some() {
        guard.settle(Verdict::Refused.into());
        return Judged::Here(unwatched(response));
    }
    let status = response.status();
    if !status.is_success() {
        let settings = guard.settings();
        let mut peek = peek(response, call, settings.peek, &settings.clock);
        // what is there already is known without storing the future
        return match Pin::new(&mut peek).poll(cx) {
            Poll::Ready((peeked, response)) => {
                Judged::Here(of_error::<E, _, _>(guard, &peeked, response, classify))
            }
            Poll::Pending => Judged::Peek(guard, Box::new(peek)),
        };
    }
    let (proof, response) = if call.is_stream() || call.dialect().is_grpc() {
        let (meter, response) = Meter::attach(response, call);
        (Proof::Meter(meter), response)
    } else {
        let response = response.map(AnswerBody::inner);
        (Proof::Whole(Whole::default()), response)
    };
    let settle = Settle::new::<E>(guard, proof, status, classify.clone());
    Judged::Here(response.map(|body| Watch::new(body, settle)))
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
            .field("admitted", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}
