//! What all calls of one layer are booked in.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Request;
use llm_exchange::{Money, Payload, Verdict, credentials};
use tokio::time::Instant;

use crate::{
    Day, Pricing, Record,
    alert::{Bell, Lookout, Now},
    latency::{Outcome, Recorder, Sample},
    layer::Settings,
    ledger::{Place, Writer},
};

pub(crate) struct Books {
    pub(crate) pricing: Pricing,
    pub(crate) latency: Recorder,
    pub(crate) writer: Writer,
    pub(crate) bell: Bell,
    pub(crate) began: Instant,
    pub(crate) trusts_body: bool,
    pub(crate) max_payload_bytes: usize,
    watches_credentials: bool,
    #[cfg(feature = "metrics")]
    metrics: crate::metrics::Metrics,
    sums: Mutex<Sums>,
    calls: AtomicU64,
    secret: RandomState,
}

struct Sums {
    lookout: Lookout,
    cost: Money,
    saved: Money,
    unpriced: u64,
    estimated: u64,
}

/// Sums since the layer was made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostStats {
    /// Calls, answers from a cache and refusals included.
    pub calls: u64,
    /// What they cost, as far as the prices are known; attempts left behind included.
    pub cost: Money,
    /// What answers from a cache would have cost.
    pub saved: Money,
    /// Calls of which a price was not known.
    pub unpriced: u64,
    /// Calls of which a part of the usage is an estimate.
    pub estimated: u64,
    /// Records that wait for the ledger.
    pub waiting: u64,
    /// Records that were lost, as the ledger did not take them.
    pub lost: u64,
}

impl Books {
    pub(crate) fn new(settings: &Settings) -> Self {
        let limits = settings.limits.clone();
        Self {
            pricing: settings.pricing.clone(),
            latency: Recorder::new(settings.most_models, limits.p95),
            writer: Writer::new(Arc::clone(&settings.ledger), settings.writer),
            bell: Bell::new(settings.on_alert.clone()),
            began: Instant::now(),
            trusts_body: settings.trusts_body,
            max_payload_bytes: settings.max_payload_bytes,
            watches_credentials: limits.unusual.is_some(),
            #[cfg(feature = "metrics")]
            metrics: crate::metrics::Metrics::new(settings.most_models, settings.old_metric_names),
            sums: Mutex::new(Sums {
                lookout: Lookout::new(limits),
                cost: Money::ZERO,
                saved: Money::ZERO,
                unpriced: 0,
                estimated: 0,
            }),
            calls: AtomicU64::new(0),
            secret: RandomState::new(),
        }
    }

    /// A hash of whatever says who pays, if something does.
    pub(crate) fn credential(&self, request: &Request<Payload>) -> Option<u64> {
        if !self.watches_credentials {
            return None;
        }
        let found = credentials(request);
        if found.is_empty() {
            return None;
        }
        Some(self.secret.hash_one(found))
    }

    /// Books a record, once.
    pub(crate) fn book(&self, record: Arc<Record>, credential: Option<u64>, place: Place) {
        self.calls.fetch_add(1, Relaxed);
        let call = &record.call;
        let second = self.began.elapsed().as_secs();
        let now = Now {
            second,
            day: Day::of(self.pricing.now()),
            age: self.pricing.age(),
            lost: self.writer.lost(),
        };
        let outcome = match call.verdict {
            Verdict::Ok => Outcome::Ok,
            Verdict::CallerGone => Outcome::Abandoned,
            _ => Outcome::Failed,
        };
        let sample = Sample {
            outcome,
            total: call.total,
            first_content: call.first_content,
            per_token: call.per_token,
        };
        // a hit is fast and a refusal faster: neither says how long the model takes
        let slow = if call.from_cache.is_none() && call.verdict != Verdict::Refused {
            self.latency.record(&call.provider, &call.model, sample)
        } else {
            Vec::new()
        };
        let alerts = {
            let mut sums = self.sums();
            sums.cost = sums.cost.saturating_add(record.cost());
            sums.saved = sums.saved.saturating_add(call.saved);
            sums.unpriced += u64::from(record.is_unpriced());
            sums.estimated += u64::from(record.entries().any(|entry| entry.is_estimated));
            let mut alerts = sums.lookout.booked(&record, credential, now);
            if !slow.is_empty() {
                alerts.extend(sums.lookout.slow(slow, second));
            }
            alerts
        };
        if record
            .entries()
            .any(|entry| entry.charge.is_some_and(|charge| charge.saturated))
        {
            tracing::error!(id = %call.id, "a charge is too large to be true, and was cut down");
        }
        #[cfg(feature = "metrics")]
        self.metrics.record(&record);
        tracing::debug!(
            model = &*call.model,
            cost = %record.cost(),
            verdict = call.verdict.as_str(),
            total_ms = call.total.as_millis() as u64,
            "booked"
        );
        self.writer.push(record, place);
        self.bell.ring(alerts);
    }

    pub(crate) fn stats(&self) -> CostStats {
        let (waiting, lost) = (self.writer.waiting() as u64, self.writer.lost());
        let sums = self.sums();
        CostStats {
            calls: self.calls.load(Relaxed),
            cost: sums.cost,
            saved: sums.saved,
            unpriced: sums.unpriced,
            estimated: sums.estimated,
            waiting,
            lost,
        }
    }

    #[cfg(feature = "hdr")]
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The time between two generated tokens of a stream.
pub(crate) fn per_token(since_first: Duration, output: u64) -> Option<Duration> {
    let between = u32::try_from(output.checked_sub(1)?).ok()?;
    since_first.checked_div(between)
}
