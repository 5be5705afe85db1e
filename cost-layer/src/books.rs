//! What all calls of one layer are booked in.

use std::{collections::hash_map::RandomState, fmt, hash::BuildHasher, sync::Arc, time::Duration};

use http::Request;
use llm_exchange::{Money, Payload, credentials};
#[cfg(feature = "hdr")]
use tokio::time::Instant;

use crate::{Pricing, Record, desk::Desk, layer::Settings, ledger::Place, names::Names};

pub(crate) struct Books {
    pub(crate) pricing: Pricing,
    pub(crate) desk: Arc<Desk>,
    pub(crate) names: Names,
    #[cfg(feature = "hdr")]
    began: Instant,
    pub(crate) trusts_body: bool,
    pub(crate) max_payload_bytes: usize,
    watches_credentials: bool,
    secret: RandomState,
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
        Self {
            pricing: settings.pricing.clone(),
            desk: Arc::new(Desk::new(settings)),
            names: Names::default(),
            #[cfg(feature = "hdr")]
            began: Instant::now(),
            trusts_body: settings.trusts_body,
            max_payload_bytes: settings.max_payload_bytes,
            watches_credentials: settings.limits.unusual.is_some(),
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
        let call = &record.call;
        if record
            .entries()
            .any(|entry| entry.charge.is_some_and(|charge| charge.saturated))
        {
            tracing::error!(id = %call.id, "a charge is too large to be true, and was cut down");
        }
        tracing::debug!(
            model = &*call.model,
            cost = %record.cost(),
            verdict = call.verdict.as_str(),
            total_ms = call.total.as_millis() as u64,
            "booked"
        );
        self.desk.leave(record, credential, place);
    }

    #[cfg(feature = "hdr")]
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books")
            .field("stats", &self.desk.carried())
            .finish_non_exhaustive()
    }
}

/// The time between two generated tokens of a stream.
pub(crate) fn per_token(since_first: Duration, output: u64) -> Option<Duration> {
    let between = u32::try_from(output.checked_sub(1)?).ok()?;
    since_first.checked_div(between)
}
