//! What an answer used, and what that cost.

use std::time::SystemTime;

use llm_exchange::{Call, LeftBehind, Meter, Purchase, Usage, Verdict};

use crate::{Charge, Pricing};

/// Tokens, and whether the provider did not say all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) usage: Usage,
    pub(crate) is_estimated: bool,
}

impl Used {
    /// Of an answer, as far as it came.
    pub(crate) fn of(meter: &Meter) -> Self {
        let (usage, is_estimated) = meter.spent();
        Self {
            usage,
            is_estimated,
        }
    }

    /// Of a call whose answer nobody waited for: its prompt was most likely read, and is billed then.
    pub(crate) fn unanswered(call: &Call) -> Self {
        let mut usage = Usage::default();
        usage.uncached = call.estimated_input();
        Self {
            usage,
            is_estimated: true,
        }
    }

    /// Of an attempt that was given up.
    pub(crate) fn left_behind(left: &LeftBehind, call: &Call) -> Self {
        match &left.meter {
            Some(meter) => Self::of(meter),
            None if left.verdict == Verdict::TimedOut => Self::unanswered(call),
            // it was not reached, or said so at once
            None => Self::default(),
        }
    }

    fn is_nothing(&self) -> bool {
        self.usage.total() == 0
            && self.usage.web_searches == 0
            && self.usage.stated_pico_usd.is_none()
    }

    /// What it cost. `None`: a price is not known.
    pub(crate) fn charge(
        &self,
        pricing: &Pricing,
        meter: Option<&Meter>,
        asked: &str,
        host: Option<&str>,
        at: SystemTime,
    ) -> Option<Charge> {
        if self.is_nothing() {
            return Some(Charge::default());
        }
        let served = meter.and_then(Meter::model);
        let served = served.as_deref().unwrap_or(asked);
        let tier = meter.and_then(Meter::service_tier);
        let speed = meter.and_then(Meter::speed);
        let geo = meter.and_then(Meter::geo);
        let mut purchase = Purchase::new(served, self.usage);
        purchase.service_tier = tier.as_deref();
        purchase.speed = speed.as_deref();
        purchase.geo = geo.as_deref();
        purchase.host = host;
        purchase.at = Some(at);
        let parts = meter.map(Meter::usage_parts).unwrap_or_default();
        let sum = parts
            .iter()
            .fold(Usage::default(), |sum, (_, part)| sum.plus(*part));
        // not where the usage is more than the provider has said so far
        if parts.is_empty() || sum.total() != self.usage.total() {
            return pricing.charge_either(&purchase, asked);
        }
        let mut charges = parts.iter().map(|(model, usage)| {
            purchase.usage = *usage;
            purchase.model = model.as_deref().unwrap_or(served);
            pricing.charge_either(&purchase, model.as_deref().unwrap_or(asked))
        });
        charges.try_fold(Charge::default(), |sum, charge| Some(sum.plus(charge?)))
    }
}
