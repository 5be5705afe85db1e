use std::{fmt, sync::Arc, time::Duration};

use http::HeaderName;
use llm_exchange::{Payload, PeekLimits, Price, WallClock};
use tower_layer::Layer;

use crate::{
    Cache, CacheHandle, MemoryStore, Mode, Semantic, Store,
    freshness::Freshness,
    key::{KeySettings, Secret, Sharing},
    settings::Settings,
    stats::Counters,
};

/// Answers LLM calls whose answer is known, and makes one upstream call of equal ones; see the
/// [crate](crate) for what it does.
///
/// The defaults: embeddings and `temperature: 0` calls only, 256 MiB in memory, an hour, answers up to 4 MiB, apart for
/// each credential and user. Entries, calls under way and statistics are shared by every service made
/// from one layer and its clones.
pub struct CacheLayer<St = MemoryStore> {
    settings: Settings<St>,
}

impl Default for CacheLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl CacheLayer {
    /// A layer with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Settings {
                store: MemoryStore::new(256 << 20),
                key: KeySettings {
                    secret: Secret::random(),
                    sharing: Sharing::Scoped,
                    vary: Vec::new(),
                },
                mode: Mode::Deterministic,
                freshness: Freshness::default(),
                largest: 4 << 20,
                answers: 1,
                reads: true,
                writes: true,
                pace: None,
                max_payload_bytes: Payload::DEFAULT_MAX_BYTES,
                peek: PeekLimits::default(),
                clock: WallClock::default(),
                prices: None,
                semantic: None,
                flights: Arc::default(),
                counters: Arc::<Counters>::default(),
            },
        }
    }

    /// The most bytes that entries take in memory. Default 256 MiB. Replaces the store by an empty one.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.store = MemoryStore::new(bytes);
        self
    }
}

#[cfg(test)]
impl CacheLayer {
    pub(crate) fn with_flights(mut self, flights: Arc<crate::flight::Flights>) -> Self {
        self.settings.flights = flights;
        self
    }
}

impl<St> CacheLayer<St> {
    /// Keeps the entries in this store. Default: a [`MemoryStore`] of 256 MiB.
    ///
    /// A store that other processes share says with which secret keys are hashed.
    #[must_use]
    pub fn store<T: Store>(self, store: T) -> CacheLayer<T> {
        let mut settings = self.settings.with_store(store);
        if let Some(secret) = settings.store.secret() {
            settings.key.secret = Secret::of(secret);
        }
        CacheLayer { settings }
    }

    /// For how long an answer is served. Default 1 hour.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.freshness.ttl = ttl;
        self
    }

    /// The share of its time by which an answer may expire sooner, so that answers which were stored
    /// together do not expire together. Default 0.1; 0 is none, and what is not within 0 and 1 is the
    /// nearer of them.
    #[must_use]
    pub fn ttl_jitter(mut self, share: f64) -> Self {
        // a share that is no number is none
        self.settings.freshness.jitter = share.clamp(0.0, 1.0).max(0.0);
        self
    }

    /// How long past its time an answer is served while a new one is got: a hit that is marked `stale`,
    /// and one call in a task of its own. Default: not at all.
    #[must_use]
    pub fn stale_while_revalidate(mut self, time: Duration) -> Self {
        self.settings.freshness.while_revalidate = time;
        self
    }

    /// How long past its time an answer is served, marked `stale`, where the provider fails: throttled,
    /// overloaded, failed, timed out, or a layer further in refuses. Default: not at all.
    #[must_use]
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.settings.freshness.if_error = time;
        self
    }

    /// Which calls are cached that do not ask for it themselves. Default [`Mode::Deterministic`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// Caches every call that depends on nothing but itself: [`Mode::All`].
    #[must_use]
    pub fn all(self) -> Self {
        self.mode(Mode::All)
    }

    /// Several answers to a call that is not `temperature: 0`: of each, up to so many are kept, and one
    /// of them, or a place for a new one, is taken at random. Default 1, and 0 is 1.
    #[must_use]
    pub fn answers(mut self, answers: u32) -> Self {
        self.settings.answers = answers.max(1);
        self
    }

    /// The largest answer that is stored, in bytes. Default 4 MiB. A larger one passes; equal calls can
    /// join it until it has become too large, and one of its readers who lags more than 1 MiB behind is
    /// ended with an error.
    #[must_use]
    pub fn max_entry_bytes(mut self, bytes: usize) -> Self {
        self.settings.largest = bytes;
        self
    }

    /// Answers any caller with any caller's answer, whatever the credential and the user. For apps whose
    /// prompts hold nothing of their users. Off by default: calls without credential and user are then
    /// not cached.
    #[must_use]
    pub fn shared_by_everybody(mut self) -> Self {
        self.settings.key.sharing = Sharing::Everybody;
        self
    }

    /// A request header, beside `anthropic-*`, `openai-*` and `x-goog-*`, that shapes the answer, and so
    /// is part of the key. Default: none.
    #[must_use]
    pub fn vary(mut self, header: HeaderName) -> Self {
        self.settings.key.vary.push(header);
        self
    }

    /// The pause between the events of a stream that is replayed, or the lines of Ollama's. Default: none, all of
    /// it comes at once, as Gemini's arrays and Amazon's frames always do.
    #[must_use]
    pub fn pace(mut self, pause: Duration) -> Self {
        self.settings.pace = Some(pause).filter(|pause| !pause.is_zero());
        self
    }

    /// Answers from the cache and stores nothing new; equal calls are made apart.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.settings.reads = true;
        self.settings.writes = false;
        self
    }

    /// Stores answers and serves none: to fill a cache before it is used. Equal calls are made apart.
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.settings.reads = false;
        self.settings.writes = true;
        self
    }

    /// By which the statistics tell the money that was saved. Default: none.
    #[must_use]
    pub fn priced_by(mut self, prices: impl Price + 'static) -> Self {
        self.settings.prices = Some(Arc::new(prices));
        self
    }

    /// Looks calls up by their meaning where the exact answer is not known. Default: not.
    #[must_use]
    pub fn semantic(mut self, semantic: Semantic) -> Self {
        self.settings.semantic = Some(Arc::new(semantic));
        self
    }

    /// The largest request body that is read, in bytes. Default 16 MiB; a larger one is not cached. It
    /// counts only where this is the outermost layer that reads the request.
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

    /// The clock by which ages are told.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// The layer's statistics and the removal of entries, to be taken before the layer is stacked and
    /// after its settings are made.
    #[must_use]
    pub fn handle(&self) -> CacheHandle<St>
    where
        St: Store,
    {
        CacheHandle {
            settings: self.settings.clone(),
        }
    }
}

impl<St: Clone> Clone for CacheLayer<St> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
        }
    }
}

impl<S, St: Store> Layer<S> for CacheLayer<St> {
    type Service = Cache<S, St>;

    fn layer(&self, inner: S) -> Self::Service {
        Cache::new(inner, Arc::new(self.settings.clone()))
    }
}

impl<St: fmt::Debug> fmt::Debug for CacheLayer<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer")
            .field("settings", &self.settings)
            .finish()
    }
}
