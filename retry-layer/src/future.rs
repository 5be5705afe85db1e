use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Classify, Cut, Meter, Payload, Peek, ReadPayload, Refusal, Verdict,
    Watch, peek,
};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower_service::Service;

use crate::{
    GaveUp, OnRetry, RetryBody,
    call::{CallState, Outcome, Shared},
    layer::Settings,
    stop::Pause,
};

pin_project! {
    /// The future of [`Retry`](crate::Retry).
    #[must_use = "futures do nothing unless polled"]
    pub struct RetryFuture<S, R, C, H>
    where
        S: Service<Request<Payload>>,
    {
        #[pin]
        state: State<S::Future, R>,
        // the limit of the running attempt, the pause, or the deadline while getting ready
        timer: Timer,
        service: S,
        shared: Shared<C, H>,
        // none before the request was read, and for what is passed through
        call: Option<CallState>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R> {
        // the caller's body; boxed, like the next but one, as a call that waits for neither is moved
        // often and these would be most of its size
        Reading { read: Box<ReadPayload> },
        // the inner response
        Sending { #[pin] sent: F },
        // what the answer is
        Peeking { peek: Box<Peek<R>> },
        // the pause, and after it poll_ready again; nothing of the failed attempt is held
        Waiting { pause: Pause, over: bool },
        Done,
    }
}

/// Boxed, as most calls need none and every call's future is moved.
type Timer = Option<Pin<Box<Sleep>>>;

impl<S, R, C, H> RetryFuture<S, R, C, H>
where
    S: Service<Request<Payload>>,
    H: OnRetry,
{
    pub(crate) fn new(
        read: ReadPayload,
        mut service: S,
        settings: Arc<Settings>,
        classify: C,
        hook: H,
    ) -> Self {
        let shared = Shared {
            settings,
            classify,
            hook,
            began: Instant::now(),
        };
        match read.now() {
            Ok(mut request) => {
                let call = shared.begin(&mut request);
                let timer = attempt_timer(&shared, call.as_ref());
                let sent = service.call(request);
                Self {
                    state: State::Sending { sent },
                    timer,
                    service,
                    shared,
                    call,
                }
            }
            Err(read) => Self {
                state: State::Reading {
                    read: Box::new(read),
                },
                timer: None,
                service,
                shared,
                call: None,
            },
        }
    }
}

impl<S, R, C, H> Future for RetryFuture<S, R, C, H>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    C: Classify<S::Error>,
    H: OnRetry,
{
    type Output = Result<Response<RetryBody<R>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let Some(call) = this.call.as_mut() else {
                match this.state.as_mut().project() {
                    StateProj::Reading { read } => {
                        let mut request = ready!(Pin::new(read).poll(cx));
                        *this.call = this.shared.begin(&mut request);
                        *this.timer = attempt_timer(this.shared, this.call.as_ref());
                        let sent = this.service.call(request);
                        this.state.set(State::Sending { sent });
                        continue;
                    }
                    // no LLM call, or one that can be sent only once: nothing is looked at
                    StateProj::Sending { sent } => {
                        return sent.poll(cx).map_ok(|response| {
                            response.map(|body| Watch::new(AnswerBody::inner(body), None))
                        });
                    }
                    _ => panic!("a future is not polled after it was ready"),
                }
            };
            // of an attempt that was cut in the middle of its answer
            let mut cut = None;
            // what the attempt came to, and what to answer if it was the last
            let (outcome, answer) = match this.state.as_mut().project() {
                StateProj::Sending { sent } => match sent.poll(cx) {
                    Poll::Ready(Ok(response)) if Refusal::of(&response).is_some() => (
                        Outcome::of(Verdict::Refused),
                        Ok(response.map(AnswerBody::inner)),
                    ),
                    Poll::Ready(Ok(response)) => {
                        let Settings {
                            peek: limits,
                            clock,
                            ..
                        } = &*this.shared.settings;
                        let mut peek = peek(response, &call.call, *limits, clock);
                        // what is there already is known without storing the future
                        match Pin::new(&mut peek).poll(cx) {
                            Poll::Ready((peeked, response)) => (
                                Outcome::answered::<S::Error, _>(&this.shared.classify, &peeked),
                                Ok(response),
                            ),
                            Poll::Pending => {
                                this.state.set(State::Peeking {
                                    peek: Box::new(peek),
                                });
                                continue;
                            }
                        }
                    }
                    Poll::Ready(Err(error)) => {
                        (Outcome::of(this.shared.classify.error(&error)), Err(error))
                    }
                    Poll::Pending => {
                        ready!(run_out(this.timer, cx));
                        (Outcome::of(Verdict::TimedOut), Ok(call.timed_out()))
                    }
                },
                StateProj::Peeking { peek } => match Pin::new(&mut *peek).poll(cx) {
                    Poll::Ready((peeked, response)) => (
                        Outcome::answered::<S::Error, _>(&this.shared.classify, &peeked),
                        Ok(response),
                    ),
                    Poll::Pending => {
                        ready!(run_out(this.timer, cx));
                        cut = peek.meter().cloned();
                        (Outcome::of(Verdict::TimedOut), Ok(call.timed_out()))
                    }
                },
                StateProj::Waiting { pause, over } => {
                    if pause.poll_stopped(cx).is_ready() {
                        this.state.set(State::Done);
                        let answer = this.shared.not_sent(call, GaveUp::Stopped);
                        return Poll::Ready(Ok(answer));
                    }
                    if !*over {
                        ready!(run_out(this.timer, cx));
                        *over = true;
                        *this.timer = call
                            .deadline
                            .map(|deadline| Box::pin(sleep_until(deadline)));
                    }
                    let again = match this.service.poll_ready(cx) {
                        // who reserves for the attempt is waited for
                        Poll::Ready(Ok(())) => this.shared.poll_again(call, cx),
                        Poll::Ready(Err(error)) => {
                            this.state.set(State::Done);
                            this.shared.over(call, Verdict::Failed, None);
                            return Poll::Ready(Err(error));
                        }
                        Poll::Pending => Poll::Pending,
                    };
                    let why = match again {
                        Poll::Ready(Ok(request)) => {
                            *this.timer = attempt_timer(this.shared, Some(call));
                            let sent = this.service.call(request);
                            this.state.set(State::Sending { sent });
                            continue;
                        }
                        Poll::Ready(Err(why)) => why,
                        Poll::Pending => {
                            ready!(run_out(this.timer, cx));
                            GaveUp::Deadline
                        }
                    };
                    this.state.set(State::Done);
                    let answer = this.shared.not_sent(call, why);
                    return Poll::Ready(Ok(answer));
                }
                StateProj::Reading { .. } | StateProj::Done => {
                    panic!("a future is not polled after it was ready")
                }
            };
            let decision = match outcome.verdict {
                Verdict::Ok => Err(None),
                _ => this.shared.decide(call, &outcome).map_err(Some),
            };
            if let Some(meter) = &cut {
                meter.cut(Cut::Clock);
            }
            let gave_up = match decision {
                Ok(delay) => {
                    let meter = cut.as_ref().or(answer.as_ref().ok().and_then(Meter::of));
                    call.leave_behind(outcome.verdict, meter);
                    // the failed attempt, its body and its connection are let go before the wait
                    drop(answer);
                    let pause = this.shared.settings.stop.pause();
                    this.state.set(State::Waiting { pause, over: false });
                    *this.timer = Some(Box::pin(sleep(delay)));
                    continue;
                }
                Err(gave_up) => gave_up,
            };
            if cut.is_some() {
                // what the caller gets is not its answer
                call.leave_behind(outcome.verdict, cut.as_ref());
            }
            this.state.set(State::Done);
            return Poll::Ready(match answer {
                Ok(response) => Ok(this
                    .shared
                    .hand_back(call, response, outcome.verdict, gave_up)),
                Err(error) => {
                    this.shared.over(call, outcome.verdict, gave_up);
                    Err(error)
                }
            });
        }
    }
}

/// The time of an attempt, where it is limited.
fn attempt_timer<C, H>(shared: &Shared<C, H>, call: Option<&CallState>) -> Timer {
    let limit = call.and(shared.settings.attempt_timeout);
    limit.map(|limit| Box::pin(sleep(limit)))
}

/// Ready when the timer has run out; without one, never.
fn run_out(timer: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
    match timer {
        Some(timer) => timer.as_mut().poll(cx),
        None => Poll::Pending,
    }
}

impl<S, R, C, H> fmt::Debug for RetryFuture<S, R, C, H>
where
    S: Service<Request<Payload>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture")
            .field("call", &self.call.as_ref().map(|call| &call.call))
            .finish_non_exhaustive()
    }
}
