//! What a layer has done so far, and what it remembers.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::time::Instant;

use crate::{Remembered, memory::Memories};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) calls: AtomicU64,
    pub(crate) fell_back: AtomicU64,
    pub(crate) all_failed: AtomicU64,
    pub(crate) failed_over: AtomicU64,
    pub(crate) hedged: AtomicU64,
    pub(crate) hedges_won: AtomicU64,
}

/// A view of a [`FallbackLayer`](crate::FallbackLayer), taken with
/// [`handle`](crate::FallbackLayer::handle) before the layer is stacked. It covers every service made
/// from the layer and its clones.
#[derive(Clone)]
pub struct FallbackHandle {
    pub(crate) memories: Option<Arc<Memories>>,
    pub(crate) counters: Arc<Counters>,
}

impl FallbackHandle {
    /// The targets that failed lately, the latest first, and for how long they are skipped.
    #[must_use]
    pub fn remembered(&self) -> Vec<Remembered> {
        let memories = self.memories.as_ref();
        memories.map_or_else(Vec::new, |memories| memories.list(Instant::now()))
    }

    /// Forgets every failure: no target is skipped for the past.
    pub fn reset(&self) {
        if let Some(memories) = &self.memories {
            memories.forget(|_| true);
        }
    }

    /// Forgets the failures of the targets with this label.
    pub fn forget(&self, target: &str) {
        if let Some(memories) = &self.memories {
            memories.forget(|label| label == target);
        }
    }

    /// The counts so far. They are read one after the other while calls go on, so they may differ
    /// by the calls of that instant.
    #[must_use]
    pub fn stats(&self) -> FallbackStats {
        FallbackStats {
            calls: self.counters.calls.load(Relaxed),
            fell_back: self.counters.fell_back.load(Relaxed),
            all_failed: self.counters.all_failed.load(Relaxed),
            failed_over: self.counters.failed_over.load(Relaxed),
            hedged: self.counters.hedged.load(Relaxed),
            hedges_won: self.counters.hedges_won.load(Relaxed),
        }
    }
}

impl fmt::Debug for FallbackHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackHandle")
            .field("stats", &self.stats())
            .field("remembered", &self.remembered())
            .finish()
    }
}

/// Counts since the layer was made, of calls that have a chain.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FallbackStats {
    /// Calls, each once however many targets it had.
    pub calls: u64,
    /// Calls that were answered by another target than the first of their chain.
    pub fell_back: u64,
    /// Calls that no target served.
    pub all_failed: u64,
    /// How often a call was sent on from the middle of its answer.
    pub failed_over: u64,
    /// Calls of which a second target was asked while the first was silent.
    pub hedged: u64,
    /// Those of them that the second one answered first.
    pub hedges_won: u64,
}
