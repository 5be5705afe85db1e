//! One circuit: a pure state machine. The time and the randomness are arguments.
//!
//! ```text
//!             enough failures                     the open time is over
//!   Closed ───────────────────► Open ◄──────────────────────► HalfOpen
//!      ▲                              a probe failed              │
//!      └──────────────────────────────────────────────────────────┘
//!                        enough probes succeeded
//! ```
//!
//! Each change of state begins a new **generation**. A call carries the generation in which it was
//! admitted, and what it came to counts in that generation alone: a call from before the trip says
//! nothing about a probe.

use std::collections::VecDeque;

use crate::{
    recent::Recent,
    rules::{Nanos, Rules},
};

/// The state of one circuit.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// Calls go through.
    Closed,
    /// Calls are refused until the open time is over.
    Open,
    /// A few calls go through as probes, the others are refused.
    HalfOpen,
    /// The app refuses all calls until it says otherwise.
    ForcedOpen,
    /// The app lets all calls through, whatever they come to, until it says otherwise.
    ForcedClosed,
}

impl CircuitState {
    /// The name in `snake_case`, for labels: `half_open`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }

    /// Whether calls go through as if there were no breaker.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Closed | Self::ForcedClosed)
    }
}

/// What a call carries from its admission to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) generation: u64,
    /// the probe's number; not one of the calls of a closed circuit
    pub(crate) probe: Option<u32>,
}

/// Why a call is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The open time is over in so long.
    For(Nanos),
    /// All probes are out; the oldest gives its slot back in so long, if it does not end before.
    Probing(Nanos),
    Forced,
}

/// What a call says about the provider's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Success,
    Failure,
    Nothing,
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) said: Said,
    /// its first content came late, or was waited for too long
    pub(crate) slow: bool,
    /// how long a failing provider asked to be left alone
    pub(crate) retry_after: Option<Nanos>,
}

impl Outcome {
    pub(crate) const NOTHING: Self = Self {
        said: Said::Nothing,
        slow: false,
        retry_after: None,
    };
    pub(crate) const SUCCESS: Self = Self {
        said: Said::Success,
        ..Self::NOTHING
    };

    pub(crate) const fn says_nothing(&self) -> bool {
        matches!(self.said, Said::Nothing) && !self.slow
    }
}

#[derive(Debug)]
pub(crate) struct Circuit {
    generation: u64,
    phase: Phase,
    /// failures since the last success
    streak: u32,
    /// made when the first call of a closed circuit is recorded
    recent: Option<Box<Recent>>,
    /// how often it opened since it was last healthy
    trips: u32,
    closed_at: Nanos,
    /// when the latest open time ends
    until: Nanos,
}

#[derive(Debug)]
enum Phase {
    Closed,
    Open,
    HalfOpen {
        /// those that hold a slot, the oldest first
        out: VecDeque<Probe>,
        next: u32,
        successes: u32,
    },
    ForcedOpen,
    ForcedClosed,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    number: u32,
    until: Nanos,
}

impl Circuit {
    pub(crate) const fn new(now: Nanos) -> Self {
        Self {
            generation: 0,
            phase: Phase::Closed,
            streak: 0,
            recent: None,
            trips: 0,
            closed_at: now,
            until: 0,
        }
    }

    pub(crate) const fn state(&self) -> CircuitState {
        match self.phase {
            Phase::Closed => CircuitState::Closed,
            Phase::Open => CircuitState::Open,
            Phase::HalfOpen { .. } => CircuitState::HalfOpen,
            Phase::ForcedOpen => CircuitState::ForcedOpen,
            Phase::ForcedClosed => CircuitState::ForcedClosed,
        }
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// When the open time ends; of no meaning unless open.
    pub(crate) const fn until(&self) -> Nanos {
        self.until
    }

    /// Whether a further success would change nothing.
    pub(crate) const fn is_clean(&self, rules: &Rules) -> bool {
        matches!(self.phase, Phase::Closed) && self.streak == 0 && !rules.takes_rates()
    }

    /// Lets a call through, or not.
    pub(crate) fn admit(&mut self, rules: &Rules, now: Nanos) -> Result<Token, Refused> {
        if matches!(self.phase, Phase::Open) {
            if now < self.until {
                return Err(Refused::For(self.until - now));
            }
            self.enter(Phase::HalfOpen {
                out: VecDeque::new(),
                next: 0,
                successes: 0,
            });
        }
        let generation = self.generation;
        match &mut self.phase {
            Phase::HalfOpen { out, next, .. } => {
                while out.front().is_some_and(|oldest| oldest.until <= now) {
                    out.pop_front();
                }
                if let (Some(oldest), true) = (out.front(), out.len() >= rules.probes as usize) {
                    return Err(Refused::Probing(oldest.until - now));
                }
                let number = *next;
                *next = next.wrapping_add(1);
                out.push_back(Probe {
                    number,
                    until: now.saturating_add(rules.probe_limit),
                });
                Ok(Token {
                    generation,
                    probe: Some(number),
                })
            }
            Phase::Closed | Phase::ForcedClosed => Ok(Token {
                generation,
                probe: None,
            }),
            Phase::ForcedOpen | Phase::Open => Err(Refused::Forced),
        }
    }

    /// A call is over. Each token is settled once.
    #[inline]
    pub(crate) fn settle(
        &mut self,
        rules: &Rules,
        token: Token,
        outcome: Outcome,
        now: Nanos,
        random: impl FnOnce() -> f64,
    ) {
        if token.generation != self.generation {
            self.settle_late(rules, token, outcome, now);
            return;
        }
        let failed = outcome.said == Said::Failure;
        let trips = match &mut self.phase {
            Phase::Closed => {
                match outcome.said {
                    Said::Success => self.streak = 0,
                    Said::Failure => self.streak = self.streak.saturating_add(1),
                    Said::Nothing => {}
                }
                let row = rules.in_a_row.is_some_and(|most| self.streak >= most);
                let rate = !outcome.says_nothing()
                    && rules.takes_rates()
                    && self.record(rules, now, failed, outcome.slow);
                row || rate
            }
            Phase::HalfOpen { out, successes, .. } => {
                out.retain(|probe| Some(probe.number) != token.probe);
                if outcome.said == Said::Success && !outcome.slow {
                    *successes += 1;
                    if *successes >= rules.successes {
                        self.enter(Phase::Closed);
                        self.closed_at = now;
                    }
                }
                failed || outcome.slow
            }
            Phase::Open | Phase::ForcedOpen | Phase::ForcedClosed => false,
        };
        if trips {
            self.trip(rules, outcome.retry_after, now, random());
        }
    }

    /// A call of an earlier generation neither opens nor closes anything. But one of those that were
    /// under way when the circuit opened may have brought the provider's word on when to come back.
    fn settle_late(&mut self, rules: &Rules, token: Token, outcome: Outcome, now: Nanos) {
        if let (Phase::Open, Said::Failure, Some(wait)) =
            (&self.phase, outcome.said, outcome.retry_after)
            && token.generation + 1 == self.generation
        {
            let asked = now.saturating_add(wait.min(rules.longest_open()));
            self.until = self.until.max(asked);
        }
    }

    /// Whether a rate is too high with this call.
    #[inline]
    fn record(&mut self, rules: &Rules, now: Nanos, failed: bool, slow: bool) -> bool {
        let recent = self
            .recent
            .get_or_insert_with(|| Box::new(Recent::new(rules.span)));
        let tally = recent.record(now, failed, slow);
        let over = |count: u32, percent: Option<u32>| {
            percent.is_some_and(|percent| {
                u64::from(count) * 100 >= u64::from(tally.calls) * u64::from(percent)
            })
        };
        tally.calls >= rules.min_calls
            && (over(tally.failed, rules.failure_percent) || over(tally.slow, rules.slow_percent))
    }

    fn trip(&mut self, rules: &Rules, retry_after: Option<Nanos>, now: Nanos, random: f64) {
        let closed = matches!(self.phase, Phase::Closed);
        if closed && now.saturating_sub(self.closed_at) >= rules.healthy_after {
            self.trips = 0;
        }
        let grown = rules
            .open_for
            .saturating_mul(1 << self.trips.min(u64::BITS - 1))
            .max(retry_after.unwrap_or(0))
            .min(rules.longest_open());
        self.trips = self.trips.saturating_add(1);
        let most_jitter = grown as f64 * f64::from(rules.jitter_percent) / 100.0;
        let wait = grown.saturating_add((most_jitter * random) as Nanos);
        self.until = now.saturating_add(wait);
        self.enter(Phase::Open);
    }

    /// Refuses everything until told otherwise.
    pub(crate) fn force_open(&mut self) {
        self.enter(Phase::ForcedOpen);
    }

    /// Lets everything through until told otherwise.
    pub(crate) fn force_closed(&mut self) {
        self.enter(Phase::ForcedClosed);
    }

    /// As good as new.
    pub(crate) fn reset(&mut self, now: Nanos) {
        self.enter(Phase::Closed);
        self.trips = 0;
        self.closed_at = now;
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
        self.streak = 0;
        self.recent = None;
    }
}
