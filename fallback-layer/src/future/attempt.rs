//! One attempt at one target.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Classify, Meter, Payload, Peek, ReadPayload, Refusal, peek,
};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::{
    Own,
    came::Came,
    course::Course,
    leave::Outcome,
    shared::{Shared, Turn},
    translate::TranslatedAnswer,
    walk::Cause,
};

type Sent<S> = <S as Service<Request<Payload>>>::Future;

pin_project! {
    /// From readiness to the commit point.
    #[project = AttemptProj]
    pub(super) struct Attempt<S, R, O>
    where
        S: Service<Request<Payload>>,
        O: Own<S>,
    {
        #[pin]
        pub(super) state: State<Sent<S>, Sent<O::Service>, R>,
        // what is sent once the target is ready
        pub(super) request: Option<Request<Payload>>,
        // when the target's time is up
        pub(super) timer: Timer,
        pub(super) inner: S,
        // the target's own service, if it has one
        pub(super) own: Option<O::Service>,
        pub(super) turn: Turn,
    }
}

pin_project! {
    #[project = StateProj]
    pub(super) enum State<F, G, R> {
        // the caller's body; boxed, as most calls were read before
        Reading { read: Box<ReadPayload> },
        // poll_ready before the call
        Readying,
        // the answer of the inner service
        Sending { #[pin] sent: F },
        // the answer of a target's own
        SendingOwn { #[pin] sent: G },
        // what the answer is
        Peeking { peek: Box<Peek<R>> },
        // the answer of a target of another dialect, made the caller's; boxed, as few are
        Translating { translating: Box<Translating<R>> },
        // no target can be tried
        Answered { answer: Option<Box<Response<AnswerBody<R>>>> },
        Done,
    }
}

/// An answer that is made the caller's, and what came of its attempt.
pub(super) struct Translating<R> {
    pub(super) answer: TranslatedAnswer<R>,
    /// As its target said it.
    pub(super) meter: Option<Meter>,
    pub(super) outcome: Outcome,
    pub(super) cause: Option<Cause>,
}

/// Boxed, as most calls need none and every call's future is moved.
pub(super) type Timer = Option<Pin<Box<Sleep>>>;

impl<F, G, R> State<F, G, R> {
    pub(super) const fn answered(answer: Box<Response<AnswerBody<R>>>) -> Self {
        Self::Answered {
            answer: Some(answer),
        }
    }
}

impl<S, R, O> Attempt<S, R, O>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    pub(super) fn new(state: State<Sent<S>, Sent<O::Service>, R>, inner: S) -> Self {
        Self {
            state,
            request: None,
            timer: None,
            inner,
            own: None,
            turn: Turn::now(),
        }
    }

    /// The turn of a target has come.
    pub(super) fn begin(self: Pin<&mut Self>, request: Request<Payload>, own: Option<O::Service>) {
        let mut this = self.project();
        // the attempt that was left is dropped here, if it still runs
        this.state.set(State::Readying);
        *this.request = Some(request);
        *this.timer = None;
        *this.own = own;
        *this.turn = Turn::now();
    }

    /// It is waited for, however long it takes.
    pub(super) fn wait(self: Pin<&mut Self>) {
        let this = self.project();
        this.turn.patient = true;
        *this.timer = None;
    }

    /// What the answer has said so far.
    pub(super) fn meter(self: Pin<&mut Self>) -> Option<Meter> {
        match self.project().state.project() {
            StateProj::Peeking { peek } => peek.meter().cloned(),
            StateProj::Translating { translating } => translating.meter.clone(),
            _ => None,
        }
    }

    /// Whether it waits for the answer.
    pub(super) fn runs(self: Pin<&mut Self>) -> bool {
        matches!(
            self.project().state.project(),
            StateProj::Sending { .. }
                | StateProj::SendingOwn { .. }
                | StateProj::Peeking { .. }
                | StateProj::Translating { .. }
        )
    }
}

impl<S, R, O> Attempt<S, R, O>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
{
    /// Drives the current target to its commit point or its failure.
    pub(super) fn poll<C: Classify<S::Error>, H>(
        self: Pin<&mut Self>,
        shared: &Shared<O, C, H>,
        course: &mut Course,
        cx: &mut Context<'_>,
    ) -> Poll<Came<R, S::Error>> {
        let mut this = self.project();
        let settings = &*shared.settings;
        loop {
            let sent = match this.state.as_mut().project() {
                StateProj::Readying => {
                    let ready = match this.own.as_mut() {
                        Some(own) => own.poll_ready(cx),
                        None => this.inner.poll_ready(cx),
                    };
                    match ready {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => {
                            // an instance that could not become ready is not used again
                            *this.inner = this.inner.clone();
                            return Poll::Ready(Came::failed(error, &shared.classify));
                        }
                        Poll::Pending => {
                            ready!(run_out(this.timer, shared.ready_by(course, *this.turn), cx));
                            return Poll::Ready(Came::late(None));
                        }
                    }
                    if let Some(request) = this.request {
                        match course.poll_attempt(request, cx) {
                            Poll::Ready(Ok(())) => {}
                            // the deadline, or nothing can be reserved for it
                            Poll::Ready(Err(_)) if !course.call().attempts().may_go_on() => {
                                return Poll::Ready(Came::late(None));
                            }
                            Poll::Ready(Err(_)) => {
                                let dialect = course.call().dialect();
                                return Poll::Ready(Came::not_allowed(dialect));
                            }
                            Poll::Pending => {
                                let by = shared.ready_by(course, *this.turn);
                                ready!(run_out(this.timer, by, cx));
                                return Poll::Ready(Came::late(None));
                            }
                        }
                    }
                    *this.timer = None;
                    let request = taken(this.request);
                    let state = match this.own.as_mut() {
                        Some(own) => State::SendingOwn {
                            sent: own.call(request),
                        },
                        None => State::Sending {
                            sent: this.inner.call(request),
                        },
                    };
                    this.state.set(state);
                    continue;
                }
                StateProj::Sending { sent } => sent.poll(cx),
                StateProj::SendingOwn { sent } => sent.poll(cx),
                StateProj::Peeking { peek } => {
                    let Poll::Ready((peeked, response)) = Pin::new(&mut *peek).poll(cx) else {
                        ready!(run_out(
                            this.timer,
                            shared.content_by(course, *this.turn),
                            cx
                        ));
                        return Poll::Ready(Came::late(peek.meter().cloned()));
                    };
                    let spec = &course.stop(settings).spec;
                    let is_translated = course.is_translated();
                    let classify = &shared.classify;
                    return Poll::Ready(Came::answered(
                        &peeked,
                        response,
                        spec,
                        is_translated,
                        classify,
                    ));
                }
                _ => panic!("a future is not polled after it was ready"),
            };
            let response = match sent {
                Poll::Ready(Ok(response)) => response,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Came::failed(error, &shared.classify));
                }
                Poll::Pending => {
                    ready!(run_out(
                        this.timer,
                        shared.content_by(course, *this.turn),
                        cx
                    ));
                    return Poll::Ready(Came::late(None));
                }
            };
            if let Some(refusal) = Refusal::of(&response) {
                let asked = refusal.retry_after();
                return Poll::Ready(Came::refused(response, asked));
            }
            let limits = shared.peek_limits(course);
            let mut peek = peek(response, course.sent(), limits, &settings.clock);
            // what is there already is known without storing the future
            match Pin::new(&mut peek).poll(cx) {
                Poll::Ready((peeked, response)) => {
                    let spec = &course.stop(settings).spec;
                    let is_translated = course.is_translated();
                    let classify = &shared.classify;
                    return Poll::Ready(Came::answered(
                        &peeked,
                        response,
                        spec,
                        is_translated,
                        classify,
                    ));
                }
                Poll::Pending => this.state.set(State::Peeking {
                    peek: Box::new(peek),
                }),
            }
        }
    }
}

/// What is taken once.
pub(super) fn taken<T>(of: &mut Option<T>) -> T {
    of.take()
        .expect("a future is not polled after it was ready")
}

/// Ready when this moment has come; without one, never.
pub(super) fn run_out(timer: &mut Timer, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(at) = at else { return Poll::Pending };
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    timer.as_mut().poll(cx)
}
