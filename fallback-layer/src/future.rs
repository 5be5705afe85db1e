use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Classify, Cut, ErrorAnswer, Payload, Peek, ReadPayload, Refusal, Watch,
    peek,
};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::{
    FallbackBody, OnFallback, Own,
    came::{Answer, Came},
    course::Course,
    layer::Settings,
    shared::Shared,
};

type Sent<S> = <S as Service<Request<Payload>>>::Future;

pin_project! {
    #[project = Projected]
    /// The future of [`Fallback`](crate::Fallback).
    #[must_use = "futures do nothing unless polled"]
    pub struct FallbackFuture<S, R, O, C, H>
    where
        S: Service<Request<Payload>>,
        O: Own<S>,
    {
        #[pin]
        state: State<Sent<S>, Sent<O::Service>, R>,
        // what is sent once the current target is ready
        request: Option<Request<Payload>>,
        // when the current target's time is up
        timer: Timer,
        inner: S,
        // the current target's own service, if it has one
        own: Option<O::Service>,
        shared: Shared<O, C, H>,
        // none before the request was read, and for what is passed through
        course: Option<Course>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, G, R> {
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
        // no target can be tried
        Answered { answer: Option<Box<Response<AnswerBody<R>>>> },
        Done,
    }
}

/// Boxed, as most calls need none and every call's future is moved.
type Timer = Option<Pin<Box<Sleep>>>;

impl<S, R, O, C, H> FallbackFuture<S, R, O, C, H>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    pub(crate) fn new(
        read: ReadPayload,
        inner: S,
        settings: Arc<Settings<O>>,
        classify: C,
        hook: H,
    ) -> Self {
        let shared = Shared {
            settings,
            classify,
            hook,
            turn: Instant::now(),
            patient: false,
        };
        let mut this = Self {
            state: State::Readying,
            request: None,
            timer: None,
            inner,
            own: None,
            shared,
            course: None,
        };
        match read.now() {
            Ok(request) => {
                let request = this.request.insert(request);
                if let Err(answer) = this.shared.set_out(request, &mut this.course) {
                    this.state = State::answered(answer);
                }
                this.own = this.shared.own(this.course.as_ref());
            }
            Err(read) => {
                this.state = State::Reading {
                    read: Box::new(read),
                };
            }
        }
        this
    }
}

impl<F, G, R> State<F, G, R> {
    const fn answered(answer: Box<Response<AnswerBody<R>>>) -> Self {
        Self::Answered {
            answer: Some(answer),
        }
    }
}

/// What the caller gets.
type Answered<R, E> = Result<Response<FallbackBody<R>>, E>;

impl<S, R, O, C, H> Projected<'_, S, R, O, C, H>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
    C: Classify<S::Error>,
    H: OnFallback,
{
    /// What has no course: the body that is still read, and what is passed through or answered at
    /// once. `None`: the call has set out on its course.
    fn poll_without_course(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answered<R, S::Error>>> {
        loop {
            match self.state.as_mut().project() {
                StateProj::Reading { read } => {
                    let request = ready!(Pin::new(read).poll(cx));
                    let request = self.request.insert(request);
                    self.state.set(State::Readying);
                    match self.shared.set_out(request, self.course) {
                        Ok(()) if self.course.is_some() => {
                            *self.own = self.shared.own(self.course.as_ref());
                            return Poll::Ready(None);
                        }
                        Ok(()) => {}
                        Err(answer) => self.state.set(State::answered(answer)),
                    }
                }
                StateProj::Readying => {
                    ready!(self.inner.poll_ready(cx))?;
                    let sent = self.inner.call(taken(self.request));
                    self.state.set(State::Sending { sent });
                }
                StateProj::Sending { sent } => {
                    let response = ready!(sent.poll(cx))?;
                    let body = |body| Watch::new(AnswerBody::inner(body), None);
                    self.state.set(State::Done);
                    return Poll::Ready(Some(Ok(response.map(body))));
                }
                StateProj::Answered { answer } => {
                    let answer = taken(answer).map(|body| Watch::new(body, None));
                    self.state.set(State::Done);
                    return Poll::Ready(Some(Ok(answer)));
                }
                _ => panic!("a future is not polled after it was ready"),
            }
        }
    }

    /// Drives the current target to its commit point or its failure.
    fn poll_target(&mut self, cx: &mut Context<'_>) -> Poll<Came<R, S::Error>> {
        let Some(course) = self.course.as_mut() else {
            return Poll::Pending;
        };
        let shared = &*self.shared;
        let settings = &*shared.settings;
        loop {
            let sent = match self.state.as_mut().project() {
                StateProj::Readying => {
                    let ready = match self.own.as_mut() {
                        Some(own) => own.poll_ready(cx),
                        None => self.inner.poll_ready(cx),
                    };
                    match ready {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => {
                            // an instance that could not become ready is not used again
                            *self.inner = self.inner.clone();
                            return Poll::Ready(Came::failed(error, &shared.classify));
                        }
                        Poll::Pending => {
                            ready!(run_out(self.timer, shared.ready_by(course), cx));
                            return Poll::Ready(Came::late(None));
                        }
                    }
                    if let Some(request) = self.request {
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
                                ready!(run_out(self.timer, shared.ready_by(course), cx));
                                return Poll::Ready(Came::late(None));
                            }
                        }
                    }
                    *self.timer = None;
                    let request = taken(self.request);
                    let state = match self.own.as_mut() {
                        Some(own) => State::SendingOwn {
                            sent: own.call(request),
                        },
                        None => State::Sending {
                            sent: self.inner.call(request),
                        },
                    };
                    self.state.set(state);
                    continue;
                }
                StateProj::Sending { sent } => sent.poll(cx),
                StateProj::SendingOwn { sent } => sent.poll(cx),
                StateProj::Peeking { peek } => {
                    let Poll::Ready((peeked, response)) = Pin::new(&mut *peek).poll(cx) else {
                        ready!(run_out(self.timer, shared.content_by(course), cx));
                        return Poll::Ready(Came::late(peek.meter().cloned()));
                    };
                    let spec = &course.stop(settings).spec;
                    return Poll::Ready(Came::answered(&peeked, response, spec, &shared.classify));
                }
                _ => panic!("a future is not polled after it was ready"),
            };
            let response = match sent {
                Poll::Ready(Ok(response)) => response,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Came::failed(error, &shared.classify));
                }
                Poll::Pending => {
                    ready!(run_out(self.timer, shared.content_by(course), cx));
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
                    return Poll::Ready(Came::answered(&peeked, response, spec, &shared.classify));
                }
                Poll::Pending => self.state.set(State::Peeking {
                    peek: Box::new(peek),
                }),
            }
        }
    }

    /// The turn of the current target has come.
    fn begin_turn(&mut self, request: Request<Payload>) {
        // the attempt that was left is dropped here, if it still runs
        self.state.set(State::Readying);
        *self.request = Some(request);
        *self.timer = None;
        *self.own = self.shared.own(self.course.as_ref());
        self.shared.turn = Instant::now();
        self.shared.patient = false;
    }
}

impl<S, R, O, C, H> Future for FallbackFuture<S, R, O, C, H>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
    C: Classify<S::Error>,
    H: OnFallback,
{
    type Output = Result<Response<FallbackBody<R>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if this.course.is_none()
                && let Some(answer) = ready!(this.poll_without_course(cx))
            {
                return Poll::Ready(answer);
            }
            let Came { outcome, answer } = ready!(this.poll_target(cx));
            let Some(course) = this.course.as_mut() else {
                continue;
            };
            let Shared { settings, hook, .. } = &*this.shared;
            let cause = settings.rules.cause(&outcome);
            let next = cause.and_then(|cause| {
                let meter = answer.meter().cloned();
                course.leave(&outcome, meter, cause, settings, hook)
            });
            if let Some(request) = next {
                if let Answer::Late(Some(meter)) = &answer {
                    meter.cut(Cut::Clock);
                }
                // with its connection, before anything else is asked
                drop(answer);
                this.begin_turn(request);
                continue;
            }
            let answer = match answer {
                Answer::Is(answer) => answer,
                // it is waited for, as nothing else can be tried
                Answer::Late(_) if !this.shared.patient => {
                    this.shared.patient = true;
                    *this.timer = None;
                    continue;
                }
                Answer::Late(_) => Ok(not_ready(course)),
            };
            this.state.set(State::Done);
            return Poll::Ready(match (answer, cause) {
                (answer, Some(_)) => course.give_up(answer, &outcome, settings),
                (Ok(response), None) => Ok(course.hand_on(response, &outcome, settings)),
                (Err(error), None) => Err(error),
            });
        }
    }
}

fn not_ready<R>(course: &Course) -> Response<AnswerBody<R>> {
    let message = "no target was ready to take the call in time";
    ErrorAnswer::new(StatusCode::GATEWAY_TIMEOUT, "target_not_ready", message)
        .into_response(Some(course.call().dialect()))
}

/// What is taken once.
fn taken<T>(of: &mut Option<T>) -> T {
    of.take()
        .expect("a future is not polled after it was ready")
}

/// Ready when this moment has come; without one, never.
fn run_out(timer: &mut Timer, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(at) = at else { return Poll::Pending };
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    timer.as_mut().poll(cx)
}

impl<S, R, O, C, H> fmt::Debug for FallbackFuture<S, R, O, C, H>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture")
            .field("call", &self.course.as_ref().map(Course::call))
            .finish_non_exhaustive()
    }
}
