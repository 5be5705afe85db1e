use std::{fmt, sync::Arc};

use http::Request;
use llm_exchange::{Call, Payload, Price};
use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    PrefixStats, PromptCache, PromptCacheStats,
    learned::{Learned, Look},
    marks::{self, Keep},
    models, openai,
    points::points,
    report::Report,
};
use crate::{key::Secret, stats::Prices};

/// Has the provider keep what prompts have in common: places Anthropic's `cache_control` marks, the
/// `cachePoint`s of Bedrock's Converse, and OpenAI's `prompt_cache_key`; and tells what that really saved.
///
/// It learns by hashes, with a secret, which prefixes come again (64 Ki at most), and marks only those
/// that were seen before within the hour. A request that has marks or a key of the caller's is left as it
/// is, and so is one that is signed, or whose model or server is not known to take them.
///
/// What it learned and reports is shared by every service made from one layer and its clones.
#[derive(Clone)]
pub struct PromptCacheLayer {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    secret: Secret,
    learned: Arc<Learned>,
    pub(super) report: Arc<Report>,
    pub(super) prices: Prices,
    hosts: Vec<Box<str>>,
    pub(super) max_payload_bytes: usize,
}

impl Default for PromptCacheLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl PromptCacheLayer {
    /// A layer that has learned nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                secret: Secret::random(),
                learned: Arc::default(),
                report: Arc::default(),
                prices: None,
                hosts: Vec::new(),
                max_payload_bytes: Payload::DEFAULT_MAX_BYTES,
            }),
        }
    }

    /// A server, beside OpenAI's, Azure's, Mistral's and OpenRouter's, that takes `prompt_cache_key`: this
    /// host and those under it. Default: none.
    #[must_use]
    pub fn key_taken_by(self, host: impl Into<Box<str>>) -> Self {
        let host = host.into().to_ascii_lowercase().into();
        self.with(|shared| shared.hosts.push(host))
    }

    /// By which the report tells money. Default: none.
    #[must_use]
    pub fn priced_by(self, prices: impl Price + 'static) -> Self {
        self.with(|shared| shared.prices = Some(Arc::new(prices)))
    }

    /// The largest request body that is read, in bytes. Default 16 MiB; a larger one passes unmarked. It
    /// counts only where this is the outermost layer that reads the request.
    #[must_use]
    pub fn max_payload_bytes(self, bytes: usize) -> Self {
        self.with(|shared| shared.max_payload_bytes = bytes)
    }

    fn with(self, change: impl FnOnce(&mut Shared)) -> Self {
        let Shared {
            secret,
            learned,
            report,
            prices,
            hosts,
            max_payload_bytes,
        } = &*self.shared;
        let mut shared = Shared {
            secret: secret.clone(),
            learned: Arc::clone(learned),
            report: Arc::clone(report),
            prices: prices.clone(),
            hosts: hosts.clone(),
            max_payload_bytes: *max_payload_bytes,
        };
        change(&mut shared);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The report, to be taken before the layer is stacked.
    #[must_use]
    pub fn handle(&self) -> PromptCacheHandle {
        PromptCacheHandle(Arc::clone(&self.shared.report))
    }
}

impl Shared {
    /// Marks the request where that helps. Returns its stable prefix, if one was marked.
    pub(super) fn prepare(&self, request: &mut Request<Payload>, call: &Call) -> Option<u64> {
        let model = call.model().filter(|_| call.unreadable().is_none())?;
        let body = request.body().whole()?.clone();
        let mut hasher = self.secret.prefixes(request);
        hasher.update(model.as_bytes()).update(b"\0");
        let seen = Look {
            now: Instant::now(),
            // a retry or a hedge is the same prompt still
            again: call.attempts().count() > 1,
        };
        let least = models::least_for_marks(call.dialect(), request.uri(), model);
        if let Some((least, form)) = least.zip(models::form_of(call.dialect())) {
            if marks::has_marks(form, &body) {
                return None;
            }
            let mut points = points(form, &body, hasher);
            points.retain(|point| point.tokens >= least);
            let (chosen, keep) = self.learned.choose(&points, seen);
            // what comes again later than it is kept would be written each time, and never read
            if keep == Keep::OneHour && !models::keeps_an_hour(call.dialect(), request.uri(), model)
            {
                return None;
            }
            let chosen: Vec<_> = chosen
                .into_iter()
                .map(|number| points[number].clone())
                .collect();
            let first = chosen.first()?.hash;
            marks::mark(request, &body, form, &chosen, keep).ok()?;
            return Some(first);
        }
        if models::takes_key(call.dialect(), request.uri(), &self.hosts) {
            let (hash, tokens) = openai::prefix(&body, hasher)?;
            if tokens < models::OPENAI || !self.learned.was_seen(hash, seen) {
                return None;
            }
            let key = format!("\"{hash:016x}\"");
            Call::set_parameter(request, "prompt_cache_key", &key).ok()?;
            return Some(hash);
        }
        None
    }
}

impl<S> Layer<S> for PromptCacheLayer {
    type Service = PromptCache<S>;

    fn layer(&self, inner: S) -> PromptCache<S> {
        PromptCache::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for PromptCacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptCacheLayer")
            .field("stats", &self.shared.report.stats())
            .finish_non_exhaustive()
    }
}

/// What the provider's cache saved, of every service made from a [`PromptCacheLayer`] and its clones.
#[derive(Clone)]
pub struct PromptCacheHandle(Arc<Report>);

impl PromptCacheHandle {
    /// The sums so far.
    #[must_use]
    pub fn stats(&self) -> PromptCacheStats {
        self.0.stats()
    }

    /// Of each stable prefix that was marked, the most useful first; 256 at most.
    #[must_use]
    pub fn prefixes(&self) -> Vec<PrefixStats> {
        self.0.prefixes()
    }
}

impl fmt::Debug for PromptCacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PromptCacheHandle")
            .field(&self.stats())
            .finish()
    }
}
