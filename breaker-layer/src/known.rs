//! How many circuits there are and how many of them are closed, and the last resort that looks at it.

use crate::{
    gate::Change,
    rules::{Kind, LastResort},
    sync::{AtomicUsize, Ordering},
};

/// Counts that nobody locks. One of them may be a moment behind another: a last resort too early or too late
/// by a call.
#[derive(Debug)]
pub(crate) struct Known {
    /// circuits of the app's keys
    keys: AtomicUsize,
    /// of those
    not_closed: AtomicUsize,
    /// circuits of credentials: they say nothing about how many providers are down
    credentials: AtomicUsize,
    /// hundredths of a call that the last resort has saved up
    share: AtomicUsize,
}

impl Known {
    pub(crate) fn new() -> Self {
        Self {
            keys: AtomicUsize::new(0),
            not_closed: AtomicUsize::new(0),
            credentials: AtomicUsize::new(0),
            share: AtomicUsize::new(0),
        }
    }

    pub(crate) fn key_made(&self, kind: Kind) {
        self.of(kind).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn key_forgotten(&self, kind: Kind) {
        self.of(kind).fetch_sub(1, Ordering::Relaxed);
    }

    fn of(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Key => &self.keys,
            Kind::Credential => &self.credentials,
        }
    }

    pub(crate) fn has_credentials(&self) -> bool {
        self.credentials.load(Ordering::Relaxed) > 0
    }

    /// The circuit of a key changed. Each change is counted once, in the order of that circuit.
    pub(crate) fn count(&self, change: Change) {
        match (change.from.is_closed(), change.to.is_closed()) {
            (true, false) => self.not_closed.fetch_add(1, Ordering::Relaxed),
            (false, true) => self.not_closed.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Whether this call, which would be refused, goes through as a last resort.
    pub(crate) fn lets_through(&self, rule: LastResort) -> bool {
        let (keys, not_closed) = (
            self.keys.load(Ordering::Relaxed),
            self.not_closed.load(Ordering::Relaxed),
        );
        if not_closed * 100 <= keys * rule.open_percent as usize {
            return false;
        }
        // exactly so many of each hundred, evenly
        let share = rule.share_percent as usize;
        self.share.fetch_add(share, Ordering::Relaxed) % 100 + share >= 100
    }
}
