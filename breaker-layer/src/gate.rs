//! A circuit that many threads use at once: one word tells a call whether anything has to be locked.
//!
//! A closed circuit with no failure to forget is read and never written: a call that is admitted and
//! succeeds costs two loads, and threads do not disturb each other. An open circuit refuses without the
//! lock too. Everything else goes through the state machine, under the lock, for a few dozen
//! instructions.

use std::sync::PoisonError;

use crate::{
    circuit::{Circuit, CircuitState, Outcome, Refused, Said, Token},
    rules::{Nanos, Rules},
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
};

#[derive(Debug)]
pub(crate) struct Gate {
    /// The generation, shifted, and the kind of state. Written under the lock alone.
    word: AtomicU64,
    /// When the open time ends. Written before the word that says so.
    until: AtomicU64,
    circuit: Mutex<Circuit>,
}

const KIND_BITS: u32 = 2;
const KIND: u64 = (1 << KIND_BITS) - 1;
/// What a call comes to may change something.
const CLOSED: u64 = 0;
/// A success changes nothing.
const CLEAN: u64 = 1;
const OPEN: u64 = 2;
const LOCKED: u64 = 3;

/// A circuit went from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: CircuitState,
    pub(crate) to: CircuitState,
    /// how long it is open, if it is
    pub(crate) open_for: Option<Nanos>,
}

impl Gate {
    pub(crate) fn new(rules: &Rules, now: Nanos) -> Self {
        let circuit = Circuit::new(now);
        Self {
            word: AtomicU64::new(word(&circuit, rules)),
            until: AtomicU64::new(0),
            circuit: Mutex::new(circuit),
        }
    }

    /// Lets a call through, or not. The clock is read only where time matters; a change of state is
    /// told before anybody can see the next one.
    #[inline]
    pub(crate) fn admit(
        &self,
        rules: &Rules,
        now: impl FnOnce() -> Nanos,
        changed: impl FnOnce(Change),
    ) -> Result<Token, Refused> {
        let word = self.word.load(Ordering::Acquire);
        match word & KIND {
            CLOSED | CLEAN => Ok(Token {
                generation: word >> KIND_BITS,
                probe: None,
            }),
            OPEN => {
                let (now, until) = (now(), self.until.load(Ordering::Acquire));
                if now < until {
                    return Err(Refused::For(until - now));
                }
                self.change(rules, now, changed, |circuit| circuit.admit(rules, now))
            }
            _ => {
                let now = now();
                self.change(rules, now, changed, |circuit| circuit.admit(rules, now))
            }
        }
    }

    /// Whether a success of this call changes nothing, so that it need not be settled.
    #[inline]
    pub(crate) fn is_clean_for(&self, token: Token) -> bool {
        // a probe is never of a closed circuit
        self.word.load(Ordering::Acquire) == token.generation << KIND_BITS | CLEAN
    }

    /// A call is over. Each token is settled once.
    #[inline]
    pub(crate) fn settle(
        &self,
        rules: &Rules,
        token: Token,
        outcome: Outcome,
        now: impl FnOnce() -> Nanos,
        random: impl FnOnce() -> f64,
        changed: impl FnOnce(Change),
    ) {
        if token.probe.is_none() && self.changes_nothing(token, outcome) {
            return;
        }
        let now = now();
        self.change(rules, now, changed, |circuit| {
            circuit.settle(rules, token, outcome, now, random);
        });
    }

    #[inline]
    fn changes_nothing(&self, token: Token, outcome: Outcome) -> bool {
        if outcome.says_nothing() {
            return true;
        }
        let word = self.word.load(Ordering::Acquire);
        if word >> KIND_BITS != token.generation {
            // of an earlier generation only the provider's wish to be left alone may still matter
            return outcome.retry_after.is_none();
        }
        word & KIND == CLEAN && outcome.said == Said::Success
    }

    /// The app's own hand on the circuit.
    pub(crate) fn by_hand(
        &self,
        rules: &Rules,
        now: Nanos,
        changed: impl FnOnce(Change),
        act: impl FnOnce(&mut Circuit),
    ) {
        self.change(rules, now, changed, act);
    }

    /// The state, and in how long it is no longer open.
    pub(crate) fn state(&self, now: Nanos) -> (CircuitState, Option<Nanos>) {
        let circuit = self.lock();
        (circuit.state(), open_for(&circuit, now))
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn kind(&self) -> CircuitState {
        self.lock().state()
    }

    pub(crate) fn is_forced(&self) -> bool {
        let state = self.lock().state();
        matches!(state, CircuitState::ForcedOpen | CircuitState::ForcedClosed)
    }

    /// As of a moment ago.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.word.load(Ordering::Acquire) & KIND, CLOSED | CLEAN)
    }

    #[inline]
    fn change<T>(
        &self,
        rules: &Rules,
        now: Nanos,
        changed: impl FnOnce(Change),
        act: impl FnOnce(&mut Circuit) -> T,
    ) -> T {
        let mut circuit = self.lock();
        let from = circuit.state();
        let result = act(&mut circuit);
        let to = circuit.state();
        let word = word(&circuit, rules);
        self.until.store(circuit.until(), Ordering::Release);
        if word != self.word.load(Ordering::Relaxed) {
            self.word.store(word, Ordering::Release);
        }
        if from != to {
            changed(Change {
                from,
                to,
                open_for: open_for(&circuit, now),
            });
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn word(circuit: &Circuit, rules: &Rules) -> u64 {
    let kind = match circuit.state() {
        CircuitState::Closed if circuit.is_clean(rules) => CLEAN,
        // admits all, and nothing that they come to matters
        CircuitState::Closed | CircuitState::ForcedClosed => CLOSED,
        CircuitState::Open => OPEN,
        CircuitState::HalfOpen | CircuitState::ForcedOpen => LOCKED,
    };
    circuit.generation() << KIND_BITS | kind
}

fn open_for(circuit: &Circuit, now: Nanos) -> Option<Nanos> {
    (circuit.state() == CircuitState::Open).then(|| circuit.until().saturating_sub(now))
}
