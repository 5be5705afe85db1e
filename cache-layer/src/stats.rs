//! What a layer has done so far.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use llm_exchange::{Money, Price, Purchase};

use crate::{CacheStatus, Entry, NotKept};

#[derive(Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    stale: AtomicU64,
    coalesced: AtomicU64,
    misses: AtomicU64,
    bypassed: AtomicU64,
    kept: AtomicU64,
    not_kept: AtomicU64,
    tokens_saved: AtomicU64,
    millis_saved: AtomicU64,
    unpriced: AtomicU64,
    alike: AtomicU64,
    texts_known: AtomicU64,
    texts_asked: AtomicU64,
    money_saved: Mutex<Money>,
}

/// The app's prices.
pub(crate) type Prices = Option<Arc<dyn Price>>;

impl Counters {
    pub(crate) fn status(&self, status: CacheStatus) {
        let counter = match status {
            CacheStatus::Hit => &self.hits,
            CacheStatus::Stale => &self.stale,
            CacheStatus::Coalesced => &self.coalesced,
            CacheStatus::Miss => &self.misses,
            CacheStatus::Bypass => &self.bypassed,
        };
        counter.fetch_add(1, Relaxed);
        tracing::trace!(status = status.as_str(), "cache");
        #[cfg(feature = "metrics")]
        metrics::counter!("llm_cache_calls", "status" => status.as_str()).increment(1);
    }

    /// An answer was served instead of a call.
    pub(crate) fn saved(&self, entry: &Entry, prices: &Prices) {
        self.millis_saved.fetch_add(entry.head.took, Relaxed);
        let Some(usage) = entry.usage() else {
            return;
        };
        self.tokens_saved.fetch_add(usage.total(), Relaxed);
        let Some(prices) = prices else {
            return;
        };
        let mut purchase = Purchase::new(entry.head.model.as_deref().unwrap_or_default(), usage);
        purchase.service_tier = entry.head.tier.as_deref();
        purchase.host = entry.head.host.as_deref();
        match prices.price(&purchase) {
            Some(money) => {
                let mut saved = self
                    .money_saved
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *saved = saved.saturating_add(money);
            }
            None => {
                self.unpriced.fetch_add(1, Relaxed);
            }
        }
    }

    /// A hit was the answer to a question that is alike.
    pub(crate) fn alike(&self) {
        self.alike.fetch_add(1, Relaxed);
    }

    /// Of a call for embeddings, so many texts were known, and so many were asked for.
    pub(crate) fn texts(&self, known: usize, asked: usize) {
        self.texts_known.fetch_add(known as u64, Relaxed);
        self.texts_asked.fetch_add(asked as u64, Relaxed);
    }

    pub(crate) fn kept(&self, kept: Result<(), NotKept>) {
        match kept {
            Ok(()) => self.kept.fetch_add(1, Relaxed),
            Err(why) => {
                if matches!(why, NotKept::TooLarge) {
                    tracing::warn!("an answer is too large to be cached");
                } else {
                    tracing::debug!(why = why.as_str(), "an answer is not cached");
                }
                #[cfg(feature = "metrics")]
                metrics::counter!("llm_cache_not_kept", "why" => why.as_str()).increment(1);
                self.not_kept.fetch_add(1, Relaxed)
            }
        };
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        CacheStats {
            hits: count(&self.hits),
            stale: count(&self.stale),
            coalesced: count(&self.coalesced),
            misses: count(&self.misses),
            bypassed: count(&self.bypassed),
            kept: count(&self.kept),
            not_kept: count(&self.not_kept),
            tokens_saved: count(&self.tokens_saved),
            time_saved: Duration::from_millis(count(&self.millis_saved)),
            money_saved: *self
                .money_saved
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
            unpriced: count(&self.unpriced),
            alike: count(&self.alike),
            texts_known: count(&self.texts_known),
            texts_asked: count(&self.texts_asked),
        }
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

/// Counts since the layer was made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Calls that were answered from the cache.
    pub hits: u64,
    /// Calls that were answered with an answer past its time.
    pub stale: u64,
    /// Calls that shared the answer of an equal call that was under way.
    pub coalesced: u64,
    /// Calls that were made, as their answer was not known.
    pub misses: u64,
    /// LLM calls that are not cached.
    pub bypassed: u64,
    /// Answers that were stored.
    pub kept: u64,
    /// Answers that came to their end and were not stored; a log line says why, at `debug`,
    /// and at `warn` where it was too large.
    pub not_kept: u64,
    /// The tokens of hits and stale answers, as their provider counted them.
    pub tokens_saved: u64,
    /// The time that the provider took for these answers.
    pub time_saved: Duration,
    /// What these answers had cost, where [`priced_by`](crate::CacheLayer::priced_by) knows.
    pub money_saved: Money,
    /// Of these answers, those whose price is not known.
    pub unpriced: u64,
    /// Of the hits, those of a question that is alike; see [`Semantic`](crate::Semantic).
    pub alike: u64,
    /// Texts of calls for embeddings, each once a call, that were known.
    pub texts_known: u64,
    /// Texts of calls for embeddings that were asked for.
    pub texts_asked: u64,
}

impl CacheStats {
    /// The share of the cached calls that were answered without a call of their own. Coalesced ones are
    /// among them; what they saved is not in the tokens, the time and the money, which are of hits and
    /// stale answers alone.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        let without = self.hits + self.stale + self.coalesced;
        let all = without + self.misses;
        if all == 0 {
            0.0
        } else {
            without as f64 / all as f64
        }
    }
}
