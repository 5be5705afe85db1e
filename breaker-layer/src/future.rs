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
        Turned { turned: Turned },
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

impl<S, R, C> BreakerFuture<S, R, C>
where
    S: Service<Request<Payload>> + Clone,
{
    /// Of a request whose circuit was asked. `ready` is the instance that was polled ready.
    #[inline]
    pub(crate) fn new(
        request: Request<Payload>,
        admitted: Admitted,
        ready: &mut S,
        shared: &Arc<Shared>,
        classify: C,
    ) -> Self {
        let (guard, call) = match admitted {
            Admitted::Yes(guard, call) => (Some(guard), Some(call)),
            Admitted::Unjudged => (None, None),
            Admitted::No(turned, call) => {
                return Self {
                    state: turn(turned, request, &call, shared, ready),
                    guard: None,
                    call: Some(call),
                    classify,
                };
            }
        };
        Self {
            state: State::Sending {
                sent: ready.call(request),
            },
            guard,
            call,
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
            Ok(mut request) => {
                let admitted = match Call::of(&request).cloned() {
                    Some(call) => admit(&mut request, call, shared),
                    None => Admitted::Unjudged,
                };
                Self::new(request, admitted, ready, shared, classify)
            }
            Err(read) => Self {
                state: State::Reading {
                    reading: Box::new(Reading {
                        read,
                        service: take(ready),
                        shared: Arc::clone(shared),
                    }),
                },
                guard: None,
                call: None,
                classify,
            },
        }
    }
}

/// What a call's circuit said.
pub(crate) enum Admitted {
    Yes(Guard, Arc<Call>),
    No(Turned, Arc<Call>),
    /// It was not asked: it is no LLM call, or nobody is there any more whose call could fail.
    Unjudged,
}

/// Asks the call's circuit.
#[inline]
pub(crate) fn admit(
    request: &mut Request<Payload>,
    call: Arc<Call>,
    shared: &Arc<Shared>,
) -> Admitted {
    if request.body().upload_broke() {
        return Admitted::Unjudged;
    }
    match Seat::of(shared, request, &call).admit(shared) {
        Ok(mut guard) => {
            guard.read_credential(shared, request);
            ask_for_plain_text(request.headers_mut());
            Admitted::Yes(guard, call)
        }
        Err(turned) => Admitted::No(turned, call),
    }
}

/// The call waits, if it may, or is refused.
fn turn<S, R>(
    turned: Turned,
    request: Request<Payload>,
    call: &Call,
    shared: &Arc<Shared>,
    ready: &mut S,
) -> State<S, S::Future, R>
where
    S: Service<Request<Payload>> + Clone,
{
    match wait(shared, turned, &request, call.attempts()) {
        Ok(wait) => State::Waiting {
            waiting: Box::new(Waiting {
                wait,
                call: Some((request, take(ready))),
            }),
        },
        Err(turned) => State::Turned { turned },
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
                    let mut request = ready!(Pin::new(&mut reading.read).poll(cx));
                    let (shared, ready) = (&reading.shared, &mut reading.service);
                    *this.call = Call::of(&request).cloned();
                    let admitted = match &*this.call {
                        Some(call) => admit(&mut request, Arc::clone(call), shared),
                        None => Admitted::Unjudged,
                    };
                    let state = match admitted {
                        Admitted::No(turned, call) => turn(turned, request, &call, shared, ready),
                        admitted => {
                            if let Admitted::Yes(guard, _) = admitted {
                                *this.guard = Some(guard);
                            }
                            State::Sending {
                                sent: ready.call(request),
                            }
                        }
                    };
                    this.state.set(state);
                }
                StateProj::Waiting { waiting } => {
                    let admitted = ready!(waiting.wait.as_mut().poll(cx));
                    let (mut request, mut service) = waiting.call.take().expect(ONCE);
                    let state = match admitted {
                        Ok(guard) => {
                            *this.guard = Some(guard);
                            ask_for_plain_text(request.headers_mut());
                            State::Sending {
                                sent: service.call(request),
                            }
                        }
                        Err(turned) => State::Turned { turned },
                    };
                    this.state.set(state);
                }
                StateProj::Turned { turned } => {
                    let dialect = this.call.as_ref().map(|call| call.dialect());
                    let refusal = refusal::answer(turned, dialect);
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(refusal.map(|body| Watch::new(body, None))));
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
                                Ok(response) => {
                                    this.state.set(State::Done);
                                    return Poll::Ready(Ok(response));
                                }
                                Err((guard, peek)) => {
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
            .field("admitted", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}
