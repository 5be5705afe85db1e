use std::{fmt, sync::Arc, time::Duration};

use llm_exchange::{Payload, PeekLimits, Standard, WallClock};
use tower_layer::Layer;

use crate::{
    Chains, Failover, Fallback, FallbackHandle, Inner, InvalidChain, Leaving, Memory, OnFallback,
    handle::Counters,
    hedge::{Hedges, When},
    leave::Rules,
    memory::Memories,
    routes::Routes,
};

/// Sends LLM calls to another target when one fails; see the [crate](crate) for what it does.
///
/// The defaults: 20 attempts in all and none later than 120 s after the call began, [`Memory`] of 2
/// failures within 5 s, 10 s for a target to become ready. Memory and statistics are shared by every
/// service made from one layer and its clones.
#[derive(Clone)]
pub struct FallbackLayer<O = Inner, C = Standard, H = (), F = ()> {
    settings: Settings<O>,
    classify: C,
    hook: H,
    failover: F,
}

/// What the services of one layer share.
pub(crate) struct Settings<O> {
    pub(crate) routes: Arc<Routes<O>>,
    pub(crate) rules: Rules,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_attempts: u32,
    pub(crate) ready_timeout: Duration,
    pub(crate) expected_output: u64,
    pub(crate) max_payload_bytes: usize,
    pub(crate) peek: PeekLimits,
    pub(crate) clock: WallClock,
    pub(crate) memories: Option<Arc<Memories>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) failover: Option<Failover>,
    pub(crate) hedge: Option<When>,
    /// Of a hundred calls.
    pub(crate) hedge_share: u8,
    pub(crate) hedges: Arc<Hedges>,
}

impl<O> Clone for Settings<O> {
    fn clone(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
            clock: self.clock.clone(),
            memories: self.memories.clone(),
            counters: Arc::clone(&self.counters),
            hedges: Arc::clone(&self.hedges),
            ..*self
        }
    }
}

impl<O> FallbackLayer<O> {
    /// A layer with these chains and the default settings.
    ///
    /// # Errors
    ///
    /// [`InvalidChain`]: a chain is empty or has a target twice, two chains are for the same calls, or
    /// a target is at another host without a credential of its own or wrong in itself.
    pub fn new(chains: impl Into<Chains<O>>) -> Result<Self, InvalidChain> {
        let routes = Routes::build(chains.into())?;
        Ok(Self {
            settings: Settings {
                rules: Rules {
                    has_filtered_chain: routes.filtered.is_some(),
                    ..Rules::default()
                },
                routes: Arc::new(routes),
                deadline: Some(Duration::from_secs(120)),
                max_attempts: 20,
                ready_timeout: Duration::from_secs(10),
                expected_output: 1_000,
                max_payload_bytes: Payload::DEFAULT_MAX_BYTES,
                peek: PeekLimits::default(),
                clock: WallClock::default(),
                memories: Some(Arc::new(Memories::new(Memory::new()))),
                counters: Arc::default(),
                failover: None,
                hedge: None,
                hedge_share: 5,
                hedges: Arc::new(Hedges::new()),
            },
            classify: Standard,
            hook: (),
            failover: (),
        })
    }
}

impl<O, C, H, F> FallbackLayer<O, C, H, F> {
    /// How long after its begin a call may still be sent to a further target. Default 120 s. No
    /// attempt starts after it, a retry's beneath included; a running attempt is never cut by it.
    ///
    /// The deadline of the call's [`Attempts`](llm_exchange::Attempts) is obeyed besides; the
    /// earliest counts.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = Some(deadline);
        self
    }

    /// Goes on for as long as there are targets and attempts.
    #[must_use]
    pub fn no_deadline(mut self) -> Self {
        self.settings.deadline = None;
        self
    }

    /// The most attempts of a call over all targets and over the retries of layers beneath, the
    /// first included. Default 20.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts;
        self
    }

    /// How long a target may take to become ready while there are others after it. Default 10 s. Over
    /// it the target is left as timed out; the last one is waited for until the deadline.
    #[must_use]
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.settings.ready_timeout = timeout;
        self
    }

    /// Leaves a target whose content filter blocks a call for the next one of its chain. Default:
    /// no, the answer is handed back. To send blocked content to another provider is a choice.
    #[must_use]
    pub fn leave_filtered(mut self) -> Self {
        self.settings.rules.filtered = true;
        self
    }

    /// Hands a throttled answer back that asks for a delay of at most this, for a retry further out
    /// or the caller's own SDK to wait. Default zero: throttled targets are left.
    #[must_use]
    pub fn wait_for_throttled(mut self, delay: Duration) -> Self {
        self.settings.rules.wait_for_throttled = delay;
        self
    }

    /// When targets are skipped for their failures.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.settings.memories = Some(Arc::new(Memories::new(memory)));
        self
    }

    /// Skips no target for its failures.
    #[must_use]
    pub fn no_memory(mut self) -> Self {
        self.settings.memories = None;
        self
    }

    /// Asks the next target as well when the first one of a call has given no content for so long, takes
    /// whose content comes first, and drops the other. Default: one target at a time.
    ///
    /// Of an answer that is not streamed, the first bytes of a good one count. The further attempt is
    /// asked for from the call's [`Attempts`](llm_exchange::Attempts) before it is sent. Not for calls
    /// with tools that run at the provider or with what it keeps; see the [crate] docs.
    #[must_use]
    pub fn hedge_after(mut self, silence: Duration) -> Self {
        self.settings.hedge = Some(When::After(silence));
        self
    }

    /// As [`hedge_after`](Self::hedge_after), after the time in which 19 of 20 of the target's last 64
    /// answers began, once 20 came. At most 1,024 targets are remembered.
    #[must_use]
    pub fn hedge_after_usual(mut self) -> Self {
        self.settings.hedge = Some(When::Usual);
        self
    }

    /// The most calls in a hundred of which a second target is asked, after the first ten; at 0 of none, not of
    /// the first ten either. Default 5.
    #[must_use]
    pub fn hedge_share(mut self, percent: u8) -> Self {
        self.settings.hedge_share = percent.min(100);
        self
    }

    /// How many tokens an answer is taken to have, for [`Target::max_cost`](crate::Target::max_cost),
    /// where the call does not limit them. Default 1,000.
    #[must_use]
    pub fn expected_output(mut self, tokens: u64) -> Self {
        self.settings.expected_output = tokens;
        self
    }

    /// The largest request body that is kept to be sent to another target, in bytes. Default 16 MiB.
    /// A larger one streams through to where it was going. It counts only where this is the
    /// outermost layer that reads the request.
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
    pub fn classify<T>(self, classify: T) -> FallbackLayer<O, T, H, F> {
        let Self {
            settings,
            hook,
            failover,
            ..
        } = self;
        FallbackLayer {
            settings,
            classify,
            hook,
            failover,
        }
    }

    /// Calls the app before each further target. See [`OnFallback`].
    #[must_use]
    pub fn on_fallback<T>(self, hook: T) -> FallbackLayer<O, C, T, F>
    where
        T: Fn(&Leaving<'_>),
    {
        let Self {
            settings,
            classify,
            failover,
            ..
        } = self;
        FallbackLayer {
            settings,
            classify,
            hook,
            failover,
        }
    }

    /// Goes on with a stream that breaks after its first content: the call is sent again with what
    /// the caller has as the beginning of the answer, to the same target or the next, and the caller
    /// reads one stream. Default: it ends with an error, as text of two attempts is never mixed unasked.
    ///
    /// Only for plain text of models that are known to go on from a beginning, or that the app says so
    /// of ([`Target::prefill`](crate::Target::prefill)); the [crate] docs have what is left out.
    #[must_use]
    pub fn failover(self, failover: Failover) -> FallbackLayer<O, C, H, Failover> {
        let mut settings = self.settings;
        settings.failover = Some(failover);
        FallbackLayer {
            settings,
            classify: self.classify,
            hook: self.hook,
            failover,
        }
    }

    /// The layer's statistics and memory, to be taken before the layer is stacked.
    #[must_use]
    pub fn handle(&self) -> FallbackHandle {
        FallbackHandle {
            memories: self.settings.memories.clone(),
            counters: Arc::clone(&self.settings.counters),
        }
    }
}

impl<S, O, C: Clone, H: OnFallback + Clone, F: Copy> Layer<S> for FallbackLayer<O, C, H, F> {
    type Service = Fallback<S, O, C, H, F>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(
            inner,
            Arc::new(self.settings.clone()),
            self.classify.clone(),
            self.hook.clone(),
            self.failover,
        )
    }
}

impl<O> fmt::Debug for Settings<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("rules", &self.rules)
            .field("deadline", &self.deadline)
            .field("max_attempts", &self.max_attempts)
            .field("ready_timeout", &self.ready_timeout)
            .field("memories", &self.memories)
            .field("failover", &self.failover)
            .finish_non_exhaustive()
    }
}

impl<O, C: fmt::Debug, H, F> fmt::Debug for FallbackLayer<O, C, H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("settings", &self.settings)
            .field("classify", &self.classify)
            .finish_non_exhaustive()
    }
}
