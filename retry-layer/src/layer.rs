use std::{fmt, sync::Arc, time::Duration};

use llm_exchange::{Payload, PeekLimits, Standard, Verdict, WallClock};
use tower_layer::Layer;

use crate::{
    Backoff, OnRetry, Retry, RetryBudget, RetryHandle, Retrying, budget::Budgets, policy::Policy,
    stats::Counters, stop::Stop,
};

/// Sends LLM calls again; see the [crate](crate) for what it does.
///
/// The defaults: 5 retries, [`Backoff`] from 1 s to 60 s, delays that the provider asks for up to
/// 60 s, no attempt later than 120 s after the call began, [`RetryBudget`] of 20 % and 10 a second.
/// Retry budget and statistics are shared by every service made from one layer and its clones.
#[derive(Clone)]
pub struct RetryLayer<C = Standard, H = ()> {
    settings: Settings,
    classify: C,
    hook: H,
}

/// What the services of one layer share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    pub(crate) deadline: Option<Duration>,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) budgets: Option<Arc<Budgets>>,
    pub(crate) max_payload_bytes: usize,
    pub(crate) peek: PeekLimits,
    pub(crate) clock: WallClock,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: Arc<Stop>,
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryLayer {
    /// A layer with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Settings {
                policy: Policy::default(),
                deadline: Some(Duration::from_secs(120)),
                attempt_timeout: None,
                budgets: Some(Arc::new(Budgets::new(RetryBudget::new()))),
                max_payload_bytes: Payload::DEFAULT_MAX_BYTES,
                peek: PeekLimits::default(),
                clock: WallClock::default(),
                counters: Arc::default(),
                stop: Arc::default(),
            },
            classify: Standard,
            hook: (),
        }
    }
}

impl<C, H> RetryLayer<C, H> {
    /// The most retries of a call, the first attempt not counted. Default 5; 0 never retries.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.settings.policy.max_retries = retries;
        self
    }

    /// The most retries after an outcome of this kind: it is retried only while fewer than this
    /// many retries were made of the call. Default: [`max_retries`](Self::max_retries) for
    /// throttled, overloaded, failed and timed out, 0 for the rest.
    ///
    /// What the caller left and what a layer further in refused is never retried.
    #[must_use]
    pub fn max_retries_on(mut self, verdict: Verdict, retries: u32) -> Self {
        self.settings
            .policy
            .by_verdict
            .retain(|(of, _)| *of != verdict);
        self.settings.policy.by_verdict.push((verdict, retries));
        self
    }

    /// How long to wait where the provider does not say.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.policy.backoff = backoff;
        self
    }

    /// The longest delay asked for by the provider that is waited for. Default 60 s. Asked for
    /// more, the layer hands the answer back at once: a delay is never shortened.
    #[must_use]
    pub fn max_hint(mut self, delay: Duration) -> Self {
        self.settings.policy.max_hint = delay;
        self
    }

    /// How long after its begin a call may still be sent again. Default 120 s. No wait runs past it
    /// and no attempt starts after it; a running attempt is never cut by it.
    ///
    /// A `grpc-timeout` of the request and the deadline of its
    /// [`Attempts`](llm_exchange::Attempts) are obeyed besides; the earliest counts.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = Some(deadline);
        self
    }

    /// Lets retries go on for as long as their number allows.
    #[must_use]
    pub fn no_deadline(mut self) -> Self {
        self.settings.deadline = None;
        self
    }

    /// The longest time of one attempt up to its first content, or to the moment when the answer
    /// is handed on without it (15 s after its head, see [`PeekLimits::commit_after`]). Off by
    /// default. An attempt over it
    /// is dropped and counts as timed out; was it the last, the caller gets a 504 in its dialect.
    ///
    /// The content of an answer that is not streamed comes when all of it is generated: allow for
    /// that.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.attempt_timeout = Some(timeout);
        self
    }

    /// The share of recent calls that may be retried.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.settings.budgets = Some(Arc::new(Budgets::new(budget)));
        self
    }

    /// Retries without a retry budget.
    #[must_use]
    pub fn no_budget(mut self) -> Self {
        self.settings.budgets = None;
        self
    }

    /// The largest request body that is kept to be sent again, in bytes. Default 16 MiB. A larger
    /// one streams through and is sent once. It counts only where this is the outermost layer that
    /// reads the request.
    #[must_use]
    pub fn max_payload_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_payload_bytes = bytes;
        self
    }

    /// How much of an answer is held back until it is clear that it is one.
    #[must_use]
    pub fn peek_limits(mut self, limits: PeekLimits) -> Self {
        self.settings.peek = limits;
        self
    }

    /// The wall clock by which HTTP dates are read where the answer has no `date` of its own.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Decides what outcomes mean. Default [`Standard`].
    #[must_use]
    pub fn classify<T>(self, classify: T) -> RetryLayer<T, H> {
        let Self { settings, hook, .. } = self;
        RetryLayer {
            settings,
            classify,
            hook,
        }
    }

    /// Calls the app before each wait. See [`OnRetry`].
    #[must_use]
    pub fn on_retry<T>(self, hook: T) -> RetryLayer<C, T>
    where
        T: Fn(&Retrying<'_>),
    {
        let Self {
            settings, classify, ..
        } = self;
        RetryLayer {
            settings,
            classify,
            hook,
        }
    }

    /// The layer's statistics and its end, to be taken before the layer is stacked.
    #[must_use]
    pub fn handle(&self) -> RetryHandle {
        RetryHandle::new(
            Arc::clone(&self.settings.counters),
            Arc::clone(&self.settings.stop),
        )
    }
}

impl<S, C: Clone, H: OnRetry + Clone> Layer<S> for RetryLayer<C, H> {
    type Service = Retry<S, C, H>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(
            inner,
            Arc::new(self.settings.clone()),
            self.classify.clone(),
            self.hook.clone(),
        )
    }
}

impl<C: fmt::Debug, H> fmt::Debug for RetryLayer<C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("settings", &self.settings)
            .field("classify", &self.classify)
            .finish_non_exhaustive()
    }
}
