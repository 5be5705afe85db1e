use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, Classify, ErrorAnswer, Hints, Payload, Peek, Peeked, ReadPayload,
    Refusal, Verdict, Watch, peek,
};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower_service::Service;

use crate::{
    GaveUp, OnRetry, Retried, RetryBody, Retrying,
    again::{Again, ask_for_plain_text},
    hook,
    layer::Settings,
    stats::Settle,
};

/// On the answer: how often the call was sent.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-llm-attempts");
/// On the answer when the outermost layer gave up; OpenAI's and Anthropic's SDKs obey it.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

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
        // the pause; nothing of the failed attempt is held
        Waiting,
        // pause over: poll_ready again before the next call
        Readying,
        Done,
    }
}

/// Boxed, as most calls need none and every call's future is moved.
type Timer = Option<Pin<Box<Sleep>>>;

struct Shared<C, H> {
    settings: Arc<Settings>,
    classify: C,
    hook: H,
    began: Instant,
}

/// What the retries of an LLM call depend on.
struct CallState {
    call: Arc<Call>,
    /// The outermost of the layers that send calls again.
    outermost: bool,
    deadline: Option<Instant>,
    budget_key: u64,
    retries: u32,
    /// `None` on the last attempt.
    again: Option<Again>,
}

/// What an attempt came to, the answer or error itself apart.
struct Outcome {
    verdict: Verdict,
    hints: Hints,
}

impl Outcome {
    fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            hints: Hints::default(),
        }
    }

    fn answered<E, C: Classify<E>>(classify: &C, peeked: &Peeked) -> Self {
        Self {
            verdict: classify.answer(peeked),
            hints: *peeked.hints(),
        }
    }
}

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
                let timer = shared.attempt_timer(call.as_ref());
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

impl<C, H: OnRetry> Shared<C, H> {
    fn attempt_timer(&self, call: Option<&CallState>) -> Timer {
        let limit = call.and(self.settings.attempt_timeout);
        limit.map(|limit| Box::pin(sleep(limit)))
    }

    /// Reads what the retries of this call depend on. `None`: it is passed through.
    fn begin(&self, request: &mut Request<Payload>) -> Option<CallState> {
        if !request.body().is_replayable() {
            return None;
        }
        let call = Arc::clone(Call::of(request)?);
        let again = match self.settings.policy.most_retries() {
            0 => None,
            _ => Again::keep(request),
        };
        if again.as_ref().is_none_or(Again::names_encoding) {
            ask_for_plain_text(request.headers_mut());
        }
        // a deadline beyond the end of time is none
        let end_of = |after| self.began.checked_add(after);
        let own = self.settings.deadline.and_then(end_of);
        let asked = again
            .as_ref()
            .and_then(Again::grpc_timeout)
            .and_then(end_of);
        let outermost = call.attempts().claim();
        let shared = match own {
            Some(own) if outermost => Some(call.attempts().end_by(own)),
            _ => call.attempts().deadline(),
        };
        let deadline = [own, asked, shared].into_iter().flatten().min();
        self.settings.counters.request();
        let budgets = self.settings.budgets.as_ref();
        let budget_key =
            budgets.map_or(0, |budgets| budgets.call(request, call.model(), self.began));
        Some(CallState {
            call,
            outermost,
            deadline,
            budget_key,
            retries: 0,
            again,
        })
    }

    /// Whether to send the call again, and after which wait. Books the retry.
    fn decide(&self, state: &mut CallState, outcome: &Outcome) -> Result<Duration, GaveUp> {
        self.settings.counters.outcome(outcome.verdict);
        let now = Instant::now();
        let left = state
            .deadline
            .map(|deadline| deadline.saturating_duration_since(now));
        let delay = self.settings.policy.decide(
            outcome.verdict,
            &outcome.hints,
            state.retries,
            left,
            fastrand::f64(),
        )?;
        let budgets = self.settings.budgets.as_ref();
        if budgets.is_some_and(|budgets| !budgets.try_retry(state.budget_key, now)) {
            return Err(GaveUp::Budget);
        }
        let attempt = state
            .call
            .attempts()
            .again()
            .map_err(|_| GaveUp::Exhausted)?;
        state.retries += 1;
        self.settings.counters.retry();
        let retrying = Retrying {
            attempt,
            verdict: outcome.verdict,
            delay,
            model: state.call.model(),
        };
        hook::retrying(&self.hook, &retrying);
        Ok(delay)
    }

    /// The call is over; its last outcome was this.
    fn over(&self, state: &CallState, verdict: Verdict, gave_up: Option<GaveUp>) {
        let retryable = gave_up.is_some_and(|why| why != GaveUp::NotRetryable);
        self.settings.counters.failed(verdict, retryable);
        if let (true, Some(why)) = (retryable, gave_up) {
            hook::gave_up(
                state.call.attempts().count(),
                verdict,
                why,
                state.call.model(),
            );
        }
    }

    /// The answer as the caller gets it.
    fn hand_back<R>(
        &self,
        state: &CallState,
        mut response: Response<AnswerBody<R>>,
        verdict: Verdict,
        gave_up: Option<GaveUp>,
    ) -> Response<RetryBody<R>>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        self.over(state, verdict, gave_up);
        let attempts = state.call.attempts().count();
        response.headers_mut().insert(ATTEMPTS, number(attempts));
        response.extensions_mut().insert(Retried {
            attempts,
            verdict,
            gave_up,
        });
        // what is the caller's own doing goes back as the provider sent it
        let ours = !matches!(
            verdict,
            Verdict::CallersFault | Verdict::CallerGone | Verdict::Filtered
        );
        let ours = gave_up.is_some_and(|why| ours || why != GaveUp::NotRetryable);
        if ours && state.outermost {
            response
                .headers_mut()
                .insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        // what is here already cannot break any more
        let settle = (verdict == Verdict::Ok && !response.body().is_here())
            .then(|| Settle(Arc::clone(&self.settings.counters)));
        response.map(|body| Watch::new(body, settle))
    }
}

impl CallState {
    /// The answer if a clock of ours ran out on the last attempt.
    fn timed_out<R>(&self, message: &'static str) -> Response<AnswerBody<R>> {
        ErrorAnswer::new(StatusCode::GATEWAY_TIMEOUT, "attempt_timed_out", message)
            .into_response(Some(self.call.dialect()))
    }

    fn not_sent<R>(&self) -> Response<AnswerBody<R>> {
        let message = "a header of the request cannot be sent again";
        ErrorAnswer::new(StatusCode::BAD_GATEWAY, "not_replayable", message)
            .into_response(Some(self.call.dialect()))
    }

    fn next_request(&mut self, settings: &Settings) -> Option<Request<Payload>> {
        let attempt = self.call.attempts().count();
        if self.retries < settings.policy.most_retries() {
            self.again.as_ref()?.request(attempt)
        } else {
            self.again.take()?.into_request(attempt)
        }
    }
}

/// Most calls are sent once, so most numbers cost no allocation.
fn number(attempts: u32) -> HeaderValue {
    match attempts {
        1 => HeaderValue::from_static("1"),
        2 => HeaderValue::from_static("2"),
        3 => HeaderValue::from_static("3"),
        more => more.into(),
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
                        *this.timer = this.shared.attempt_timer(this.call.as_ref());
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
                        (
                            Outcome::of(Verdict::TimedOut),
                            Ok(call.timed_out("no content in time")),
                        )
                    }
                },
                StateProj::Peeking { peek } => match Pin::new(peek).poll(cx) {
                    Poll::Ready((peeked, response)) => (
                        Outcome::answered::<S::Error, _>(&this.shared.classify, &peeked),
                        Ok(response),
                    ),
                    Poll::Pending => {
                        ready!(run_out(this.timer, cx));
                        (
                            Outcome::of(Verdict::TimedOut),
                            Ok(call.timed_out("no content in time")),
                        )
                    }
                },
                StateProj::Waiting => {
                    ready!(run_out(this.timer, cx));
                    *this.timer = call
                        .deadline
                        .map(|deadline| Box::pin(sleep_until(deadline)));
                    this.state.set(State::Readying);
                    continue;
                }
                StateProj::Readying => match this.service.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        let Some(request) = call.next_request(&this.shared.settings) else {
                            this.state.set(State::Done);
                            let (answer, why) = (call.not_sent(), Some(GaveUp::NotRetryable));
                            let answer = this.shared.hand_back(call, answer, Verdict::Failed, why);
                            return Poll::Ready(Ok(answer));
                        };
                        *this.timer = this.shared.attempt_timer(Some(call));
                        let sent = this.service.call(request);
                        this.state.set(State::Sending { sent });
                        continue;
                    }
                    Poll::Ready(Err(error)) => {
                        this.state.set(State::Done);
                        this.shared.over(call, Verdict::Failed, None);
                        return Poll::Ready(Err(error));
                    }
                    Poll::Pending => {
                        ready!(run_out(this.timer, cx));
                        this.state.set(State::Done);
                        let answer = call.timed_out("no time was left to send the call again");
                        let why = Some(GaveUp::Deadline);
                        let answer = this.shared.hand_back(call, answer, Verdict::TimedOut, why);
                        return Poll::Ready(Ok(answer));
                    }
                },
                StateProj::Reading { .. } | StateProj::Done => {
                    panic!("a future is not polled after it was ready")
                }
            };
            let decision = match outcome.verdict {
                Verdict::Ok => Err(None),
                _ => this.shared.decide(call, &outcome).map_err(Some),
            };
            let gave_up = match decision {
                Ok(delay) => {
                    // the failed attempt, its body and its connection are let go before the wait
                    drop(answer);
                    this.state.set(State::Waiting);
                    *this.timer = Some(Box::pin(sleep(delay)));
                    continue;
                }
                Err(gave_up) => gave_up,
            };
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
