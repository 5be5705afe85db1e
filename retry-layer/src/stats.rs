//! What a layer has done so far.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use llm_exchange::{BodyEnd, Meter, Observe, Verdict};

use crate::stop::Stop;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    errors: AtomicU64,
    rate_limited: AtomicU64,
    gave_up: AtomicU64,
}

impl Counters {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn outcome(&self, verdict: Verdict) {
        if verdict == Verdict::Throttled {
            self.rate_limited.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// The call's last outcome was no success.
    pub(crate) fn failed(&self, verdict: Verdict, gave_up: bool) {
        if !matches!(
            verdict,
            Verdict::Ok | Verdict::CallersFault | Verdict::CallerGone | Verdict::Filtered
        ) {
            self.errors.fetch_add(1, Relaxed);
        }
        if gave_up {
            self.gave_up.fetch_add(1, Relaxed);
        }
    }
}

/// A [`RetryLayer`](crate::RetryLayer)'s statistics and its end, taken with
/// [`handle`](crate::RetryLayer::handle) before the layer is stacked. It covers every service made
/// from the layer and its clones.
#[derive(Clone)]
pub struct RetryHandle {
    counters: Arc<Counters>,
    stop: Arc<Stop>,
}

impl RetryHandle {
    pub(crate) const fn new(counters: Arc<Counters>, stop: Arc<Stop>) -> Self {
        Self { counters, stop }
    }

    /// Lets nothing be sent again from now on, for a shutdown in order. Running attempts go on, and
    /// what they fail with goes back as it is; a call in the pause before its next attempt is
    /// answered with a 503 at once, without `x-should-retry: false`, as another instance may serve
    /// it. There is no way back.
    pub fn stop_retrying(&self) {
        self.stop.stop();
    }

    /// The counts so far. They are read one after the other while calls go on, so they may differ
    /// by the calls of that instant.
    #[must_use]
    pub fn stats(&self) -> RetryStats {
        let counters = &*self.counters;
        RetryStats {
            requests: counters.requests.load(Relaxed),
            retries: counters.retries.load(Relaxed),
            errors: counters.errors.load(Relaxed),
            rate_limited: counters.rate_limited.load(Relaxed),
            gave_up: counters.gave_up.load(Relaxed),
        }
    }
}

impl fmt::Debug for RetryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RetryHandle").field(&self.stats()).finish()
    }
}

/// Counts since the layer was made. Calls that are no LLM calls are not counted.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryStats {
    /// Calls, each once however often it was sent.
    pub requests: u64,
    /// Further attempts.
    pub retries: u64,
    /// Calls that failed in the end: whose last outcome was neither a success nor the caller's
    /// doing, and answers that failed after they were handed on, by an error event in the stream, a
    /// missing end or a broken connection.
    pub errors: u64,
    /// Attempts that were throttled.
    pub rate_limited: u64,
    /// Calls whose retries ended without a success: used up, too long a delay, the deadline, the
    /// retry budget or [`stop_retrying`](RetryHandle::stop_retrying).
    pub gave_up: u64,
}

impl RetryStats {
    /// Further attempts per call.
    #[must_use]
    pub fn retry_rate(&self) -> f64 {
        rate(self.retries, self.requests)
    }

    /// The share of calls that failed in the end.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        rate(self.errors, self.requests)
    }
}

fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Watches the body of an answer that began well: one that fails after it was handed on is an error
/// of the call.
#[derive(Debug)]
pub struct Settle {
    counters: Arc<Counters>,
    /// of a stream
    meter: Option<Meter>,
}

impl Settle {
    pub(crate) const fn new(counters: Arc<Counters>, meter: Option<Meter>) -> Self {
        Self { counters, meter }
    }
}

impl Observe for Settle {
    fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    fn end(&mut self, end: BodyEnd<'_>) {
        let verdict = match (&self.meter, end) {
            (Some(meter), _) => meter.verdict(),
            (None, BodyEnd::Failed(_)) => Verdict::Failed,
            (None, _) => return,
        };
        self.counters.outcome(verdict);
        self.counters.failed(verdict, false);
    }
}
