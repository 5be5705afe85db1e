//! What happens to one call: whether it is sent again, and what its caller gets.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, Classify, ErrorAnswer, Hints, Meter, Payload, Peeked, Verdict,
    Watch, ask_for_plain_text,
};
use tokio::time::Instant;

use crate::{
    GaveUp, OnRetry, Retried, RetryBody, Retrying, again::Again, hook, layer::Settings,
    stats::Settle,
};

/// On the answer: how often the call was sent.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-llm-attempts");
/// On the answer when the outermost layer gave up; OpenAI's and Anthropic's SDKs obey it.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The layer, as one call's future sees it.
pub(crate) struct Shared<C, H> {
    pub(crate) settings: Arc<Settings>,
    pub(crate) classify: C,
    pub(crate) hook: H,
    pub(crate) began: Instant,
}

/// What the retries of an LLM call depend on.
pub(crate) struct CallState {
    pub(crate) call: Arc<Call>,
    /// The outermost of the layers that send calls again.
    outermost: bool,
    pub(crate) deadline: Option<Instant>,
    budget_key: u64,
    retries: u32,
    /// `None` on the last attempt.
    again: Option<Again>,
}

/// What an attempt came to, the answer or error itself apart.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    hints: Hints,
}

impl Outcome {
    pub(crate) fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            hints: Hints::default(),
        }
    }

    pub(crate) fn answered<E, C: Classify<E>>(classify: &C, peeked: &Peeked) -> Self {
        Self {
            verdict: classify.answer(peeked),
            hints: *peeked.hints(),
        }
    }
}

impl<C, H: OnRetry> Shared<C, H> {
    /// Reads what the retries of this call depend on. `None`: it is passed through.
    pub(crate) fn begin(&self, request: &mut Request<Payload>) -> Option<CallState> {
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

    /// Whether to send the call again, and after which wait.
    pub(crate) fn decide(
        &self,
        state: &mut CallState,
        outcome: &Outcome,
    ) -> Result<Duration, GaveUp> {
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
        if self.settings.stop.is_stopped() {
            return Err(GaveUp::Stopped);
        }
        let attempts = state.call.attempts();
        if !attempts.may_go_on() {
            return Err(GaveUp::Exhausted);
        }
        // last, so that no token is spent on what is not sent for another reason
        let budgets = self.settings.budgets.as_ref();
        if budgets.is_some_and(|budgets| !budgets.try_retry(state.budget_key, now)) {
            return Err(GaveUp::Budget);
        }
        state.retries += 1;
        let retrying = Retrying {
            attempt: attempts.count().saturating_add(1),
            verdict: outcome.verdict,
            delay,
            model: state.call.model(),
        };
        hook::retrying(&self.hook, &retrying);
        Ok(delay)
    }

    /// The request of the next attempt, which is counted herewith.
    pub(crate) fn poll_again(
        &self,
        state: &mut CallState,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Request<Payload>, GaveUp>> {
        // another layer may have used the allowance up during the wait
        let again = state.call.attempts();
        let again = again.poll_again(&[state.call.model()], cx);
        let Ok(attempt) = ready!(again) else {
            return Poll::Ready(Err(GaveUp::Exhausted));
        };
        let more = state.retries < self.settings.policy.most_retries();
        let request = if more {
            state
                .again
                .as_ref()
                .and_then(|again| again.request(attempt))
        } else {
            state
                .again
                .take()
                .and_then(|again| again.into_request(attempt))
        };
        self.settings.counters.retry();
        Poll::Ready(request.ok_or(GaveUp::NotRetryable))
    }

    /// The answer when the wait is over, or ended early, and no further attempt is made. The failed
    /// one's answer was let go before the wait.
    pub(crate) fn not_sent<R>(&self, state: &CallState, why: GaveUp) -> Response<RetryBody<R>>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let (status, code, message) = match why {
            GaveUp::Deadline => (
                StatusCode::GATEWAY_TIMEOUT,
                "attempt_timed_out",
                "no time was left to send the call again",
            ),
            GaveUp::Stopped => (
                StatusCode::SERVICE_UNAVAILABLE,
                "retries_stopped",
                "the call was waiting to be sent again when the service stopped",
            ),
            GaveUp::NotRetryable => (
                StatusCode::BAD_GATEWAY,
                "not_replayable",
                "a header of the request cannot be sent again",
            ),
            _ => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no_attempt_left",
                "the call may not be sent again",
            ),
        };
        let answer = ErrorAnswer::new(status, code, message);
        let answer = answer.into_response(Some(state.call.dialect()));
        self.hand_back(state, answer, Verdict::of(status, None), Some(why))
    }

    /// The call is over; its last outcome was this.
    pub(crate) fn over(&self, state: &CallState, verdict: Verdict, gave_up: Option<GaveUp>) {
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
    pub(crate) fn hand_back<R>(
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
        let retried = Retried {
            attempts,
            verdict,
            gave_up,
        };
        response.headers_mut().insert(ATTEMPTS, number(attempts));
        response.extensions_mut().insert(retried);
        if state.outermost && retried.says_not_again() {
            response
                .headers_mut()
                .insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        let meter = Meter::of(&response).cloned();
        // what is here already cannot break any more, but its end may say that it failed
        let open = verdict == Verdict::Ok && (meter.is_some() || !response.body().is_here());
        let settle = open.then(|| Settle::new(Arc::clone(&self.settings.counters), meter));
        response.map(|body| Watch::new(body, settle))
    }
}

impl CallState {
    /// The answer if a clock of ours ran out on the last attempt.
    pub(crate) fn timed_out<R>(&self) -> Response<AnswerBody<R>> {
        let status = StatusCode::GATEWAY_TIMEOUT;
        ErrorAnswer::new(status, "attempt_timed_out", "no content in time")
            .into_response(Some(self.call.dialect()))
    }

    /// What the attempt used is not lost to whoever keeps books further out.
    pub(crate) fn leave_behind(&self, verdict: Verdict, meter: Option<&Meter>) {
        let call = &self.call;
        call.attempts().leave_behind(call, verdict, meter.cloned());
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
