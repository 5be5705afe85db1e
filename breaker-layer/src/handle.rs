use std::{fmt, sync::Arc, time::Duration};

use crate::{
    circuit::{Circuit, CircuitState},
    entry::{CircuitCounts, Entry},
    hub::Transitions,
    shared::Shared,
};

/// Shows and moves the circuits of a [`BreakerLayer`](crate::BreakerLayer): of every service made from
/// the layer and its clones.
///
/// Circuits go by the names of their keys, by default `model@authority`, as [`circuits`](Self::circuits)
/// lists them. A key is known from its first call on.
#[derive(Clone)]
pub struct BreakerHandle(pub(crate) Arc<Shared>);

/// One circuit.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitStatus {
    /// The key. That of a credential has a number after the key's name, which is no part of the
    /// credential and another in each process.
    pub key: Arc<str>,
    /// The state. An open circuit whose time is over is open until the next call comes.
    pub state: CircuitState,
    /// In how long the next probe goes through, if the circuit is open.
    pub open_for: Option<Duration>,
    /// What its calls came to since the key is known.
    pub counts: CircuitCounts,
}

impl BreakerHandle {
    /// All known circuits, in no order.
    #[must_use]
    pub fn circuits(&self) -> Vec<CircuitStatus> {
        let mut all = Vec::new();
        self.0.keys.each(|entry| all.push(status(entry)));
        all
    }

    /// The circuit of a key; `None` if it is not known.
    #[must_use]
    pub fn circuit(&self, key: &str) -> Option<CircuitStatus> {
        let mut found = None;
        self.each_of(key, |entry| found = Some(status(entry)));
        found
    }

    /// The changes of state from now on.
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        self.0.core.hub.subscribe()
    }

    /// Refuses all calls of a key until it is [reset](Self::reset). False if the key is not known.
    pub fn force_open(&self, key: &str) -> bool {
        self.by_hand(key, |circuit, _| circuit.force_open())
    }

    /// Lets all calls of a key through until it is [reset](Self::reset), whatever they come to. False
    /// if the key is not known.
    pub fn force_closed(&self, key: &str) -> bool {
        self.by_hand(key, |circuit, _| circuit.force_closed())
    }

    /// Closes the circuit of a key and forgets how its calls went; the counts stay. False if the key
    /// is not known.
    pub fn reset(&self, key: &str) -> bool {
        self.by_hand(key, Circuit::reset)
    }

    fn by_hand(&self, key: &str, act: impl Fn(&mut Circuit, u64)) -> bool {
        let mut known = false;
        self.each_of(key, |entry| {
            known = true;
            entry.by_hand(&act);
        });
        known
    }

    fn each_of(&self, key: &str, act: impl FnMut(&Entry)) {
        let mut found = Vec::new();
        self.0.keys.each(|entry| {
            if **entry.name() == *key {
                found.push(Arc::clone(entry));
            }
        });
        // the keys are not locked any more: events are heard by the app's own code
        found.iter().map(|entry| &**entry).for_each(act);
    }
}

fn status(entry: &Entry) -> CircuitStatus {
    let (state, open_for) = entry.state();
    CircuitStatus {
        key: Arc::clone(entry.name()),
        state,
        open_for,
        counts: entry.counts(),
    }
}

impl fmt::Debug for BreakerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BreakerHandle")
            .field(&self.circuits())
            .finish()
    }
}
