//! One key: its circuit, its counts, and the calls that wait for it.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    circuit::{Circuit, CircuitState, Outcome, Refused, Said, Token},
    gate::{Change, Gate},
    places::Places,
    rules::{Kind, Nanos, Rules, SECOND},
    shared::{Core, Shared},
};

pub(crate) struct Entry {
    pub(crate) core: Arc<Core>,
    gate: Gate,
    counters: Counters,
    hash: u64,
    name: Arc<str>,
    kind: Kind,
    /// Only for what has to look at other keys.
    pub(crate) shared: Weak<Shared>,
    /// Wakes the waiting calls when one of them may be admitted.
    pub(crate) moved: Notify,
    pub(crate) places: Places,
    /// Forgotten: nothing that still happens here is told or counted.
    retired: AtomicBool,
}

#[derive(Debug, Default)]
struct Counters {
    successes: AtomicU64,
    failures: AtomicU64,
    neither: AtomicU64,
    slow: AtomicU64,
    refused: AtomicU64,
    opened: AtomicU64,
}

/// What the calls of one circuit came to since it is known.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CircuitCounts {
    /// Calls that counted as successes.
    pub successes: u64,
    /// Calls that counted as failures.
    pub failures: u64,
    /// Calls that counted as neither, such as those whose callers went away.
    pub neither: u64,
    /// Slow calls; each is one of the above besides.
    pub slow: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// How often the circuit opened.
    pub opened: u64,
}

impl Entry {
    pub(crate) fn new(shared: &Arc<Shared>, hash: u64, name: &str, kind: Kind) -> Self {
        let core = Arc::clone(&shared.core);
        core.hub.known.key_made(kind);
        let rules = rules(&core, kind);
        Self {
            gate: Gate::new(rules, core.now()),
            counters: Counters::default(),
            hash,
            name: name.into(),
            kind,
            shared: Arc::downgrade(shared),
            moved: Notify::new(),
            places: Places::new(),
            retired: AtomicBool::new(false),
            core,
        }
    }

    /// Of its key.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn admit(&self) -> Result<Token, Refused> {
        let mut change = None;
        let admitted = self.gate.admit(
            self.rules(),
            || self.core.now(),
            |seen| change = self.changed(seen),
        );
        self.report(change);
        admitted
    }

    /// A call succeeded, and took no longer than it may.
    #[inline]
    pub(crate) fn succeeded(&self, token: Token) {
        if self.gate.is_clean_for(token) {
            self.counters.successes.fetch_add(1, Relaxed);
        } else {
            self.settle(token, Outcome::SUCCESS);
        }
    }

    /// A call that was admitted is not sent after all.
    pub(crate) fn give_back(&self, token: Token) {
        self.tell(token, Outcome::NOTHING);
    }

    pub(crate) fn settle(&self, token: Token, outcome: Outcome) {
        let counter = match outcome.said {
            Said::Success => &self.counters.successes,
            Said::Failure => &self.counters.failures,
            Said::Nothing => &self.counters.neither,
        };
        counter.fetch_add(1, Relaxed);
        if outcome.slow {
            self.counters.slow.fetch_add(1, Relaxed);
        }
        self.tell(token, outcome);
    }

    fn tell(&self, token: Token, outcome: Outcome) {
        let mut change = None;
        self.gate.settle(
            self.rules(),
            token,
            outcome,
            || self.core.now(),
            fastrand::f64,
            |seen| change = self.changed(seen),
        );
        if token.probe.is_some() {
            // its slot is free, or the circuit closed
            self.moved.notify_waiters();
        }
        self.report(change);
    }

    pub(crate) fn refused(&self) {
        self.counters.refused.fetch_add(1, Relaxed);
        #[cfg(feature = "metrics")]
        metrics::counter!("llm_breaker_refusals").increment(1);
    }

    /// When a refused call may come again.
    pub(crate) fn come_again(&self, refused: Refused) -> Duration {
        Duration::from_nanos(match refused {
            Refused::For(nanos) => nanos,
            // a probe may end at any moment
            Refused::Probing(nanos) => nanos.min(SECOND),
            Refused::Forced => self.rules().open_for,
        })
    }

    /// The app's own hand on the circuit.
    pub(crate) fn by_hand(&self, act: impl FnOnce(&mut Circuit, Nanos)) {
        let (now, mut change) = (self.core.now(), None);
        self.gate.by_hand(
            self.rules(),
            now,
            |seen| change = self.changed(seen),
            |circuit| act(circuit, now),
        );
        self.moved.notify_waiters();
        self.report(change);
    }

    pub(crate) fn state(&self) -> (CircuitState, Option<Duration>) {
        let (state, open_for) = self.gate.state(self.core.now());
        (state, open_for.map(Duration::from_nanos))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Whether the app's own hand is on it.
    pub(crate) fn is_forced(&self) -> bool {
        self.gate.is_forced()
    }

    pub(crate) fn counts(&self) -> CircuitCounts {
        let counters = &self.counters;
        CircuitCounts {
            successes: counters.successes.load(Relaxed),
            failures: counters.failures.load(Relaxed),
            neither: counters.neither.load(Relaxed),
            slow: counters.slow.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            opened: counters.opened.load(Relaxed),
        }
    }

    /// The key is forgotten. Calls that still hold the entry go through, and change nothing any more.
    pub(crate) fn retire(&self) {
        let hub = &self.core.hub;
        let mut was = CircuitState::Closed;
        self.gate.by_hand(
            self.rules(),
            self.core.now(),
            |change| {
                was = change.from;
                if self.kind == Kind::Key {
                    hub.known.count(change);
                }
            },
            |circuit| {
                circuit.force_closed();
                self.retired.store(true, Relaxed);
            },
        );
        hub.known.key_forgotten(self.kind);
        self.moved.notify_waiters();
        if !was.is_closed() {
            self.show();
        }
    }

    /// The gauge, which is the app's own code and so is called without a lock. Who shows a state that is no
    /// longer the case shows again: so the last one that is shown is the case.
    fn show(&self) {
        #[cfg(feature = "metrics")]
        loop {
            let shown = self.gate.kind();
            self.core.hub.gauges.set(&self.name, shown);
            if self.gate.kind() == shown {
                return;
            }
        }
    }

    fn rules(&self) -> &Rules {
        rules(&self.core, self.kind)
    }

    /// Under the circuit's lock, so that all hear of its changes in their order.
    fn changed(&self, change: Change) -> Option<Change> {
        if self.retired.load(Relaxed) {
            return None;
        }
        if change.to == CircuitState::Open {
            self.counters.opened.fetch_add(1, Relaxed);
        }
        if self.kind == Kind::Key {
            self.core.hub.known.count(change);
        }
        self.core.hub.tell(&self.name, change);
        Some(change)
    }

    /// Without the lock: what listens to events is the app's own code.
    fn report(&self, change: Option<Change>) {
        let Some(change) = change else { return };
        self.show();
        let (from, to) = (change.from.as_str(), change.to.as_str());
        if let Some(open_for) = change.open_for {
            let open_for_ms = open_for / 1_000_000;
            tracing::warn!(key = &*self.name, from, to, open_for_ms, "circuit opened");
        } else {
            tracing::info!(key = &*self.name, from, to, "circuit changed");
        }
    }
}

fn rules(core: &Core, kind: Kind) -> &Rules {
    match kind {
        Kind::Key => &core.settings.rules,
        Kind::Credential => &core.credential_rules,
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
