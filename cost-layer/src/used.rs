//! What an answer used, and what that cost.

use std::time::SystemTime;

use llm_exchange::{Call, LeftBehind, Meter, Purchase, Said, Usage, Verdict};

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

    /// Of an answer that came, or that a layer further in gave in place of one it did not wait for.
    pub(crate) fn of_either(meter: &Meter, call: &Call) -> Self {
        let used = Self::of(meter);
        let timed_out = !meter.status().is_success() && meter.verdict() == Verdict::TimedOut;
        if timed_out && used.is_nothing() {
            return Self::unanswered(call);
        }
        used
    }

    /// Of an attempt that was given up.
    pub(crate) fn left_behind(left: &LeftBehind, call: &Call) -> Self {
        match &left.meter {
            Some(meter) => Self::of_either(meter, call),
            None if matches!(
                left.verdict,
                Verdict::TimedOut | Verdict::Outrun | Verdict::CallerGone
            ) =>
            {
                Self::unanswered(call)
            }
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
        host: &str,
        at: SystemTime,
    ) -> Option<Charge> {
        if self.is_nothing() {
            return Some(Charge::default());
        }
        let said = meter.map(Meter::said);
        let said = said.as_ref();
        let served = said.and_then(Said::model).unwrap_or(asked);
        let mut purchase = Purchase::new(served, self.usage);
        purchase.service_tier = said.and_then(Said::service_tier);
        purchase.speed = said.and_then(Said::speed);
        purchase.geo = said.and_then(Said::geo);
        purchase.host = Some(host).filter(|host| !host.is_empty());
        purchase.at = Some(at);
        let parts = || said.into_iter().flat_map(Said::usage_parts);
        let sum = parts().fold(Usage::default(), |sum, (_, part)| sum.plus(part));
        // not where the usage is more than the provider has said so far
        if parts().next().is_none() || sum.total() != self.usage.total() {
            return pricing.charge_either(&purchase, asked);
        }
        let mut charges = parts().map(|(model, usage)| {
            purchase.usage = usage;
            purchase.model = model.unwrap_or(served);
            pricing.charge_either(&purchase, model.unwrap_or(asked))
        });
        charges.try_fold(Charge::default(), |sum, charge| Some(sum.plus(charge?)))
    }
}
