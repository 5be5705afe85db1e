//! What an answer used, on the safe side where its provider did not say.

use llm_exchange::{Call, Dialect, End, LeftBehind, Meter, Purchase, Usage, Verdict};

use crate::{account::MOST, amount::Unit, budget::Budget, plan::Plan};

/// What one attempt used, and what it is priced by.
pub(crate) struct Spent<'a> {
    usage: Usage,
    asked: &'a str,
    meter: Option<&'a Meter>,
    host: Option<&'a str>,
}

/// Whether the provider said all that the answer used.
pub(crate) fn is_final(meter: &Meter) -> bool {
    let is_whole = meter.is_over() || meter.is_complete();
    meter.usage().is_some() && meter.error().is_none() && is_whole
}

/// Whether a whole answer says neither what it used nor anything else that is read: the provider put
/// the work off, or speaks of no tokens.
fn is_silent(meter: &Meter) -> bool {
    meter.status().is_success()
        && meter.end() == Some(End::Complete)
        && meter.usage().is_none()
        && meter.error().is_none()
        && meter.text_tokens() == 0
}

impl<'a> Spent<'a> {
    /// Of an answer, as far as it came.
    pub(crate) fn of_answer(
        meter: &'a Meter,
        plan: &Plan,
        granted: u64,
        host: Option<&'a str>,
        asked: &'a str,
    ) -> Self {
        let (mut usage, _) = meter.spent();
        // an error answer, and one that failed before its first content, cost nothing
        if usage.total() > 0 && !is_final(meter) {
            let input = plan.input.saturating_sub(usage.input());
            usage.uncached = usage.uncached.saturating_add(input);
            let mut output = plan.of_answer(meter.text_tokens(), granted);
            // what comes in one piece was written before its head came
            if !meter.is_stream() && meter.end() != Some(End::Complete) {
                output = output.max(plan.unheard(granted));
            }
            usage.visible = usage
                .visible
                .saturating_add(output.saturating_sub(usage.output()));
        }
        if is_silent(meter) {
            usage.uncached = plan.input;
            usage.visible = match meter.dialect() {
                // it is still to be written, and will be fetched by another call
                Dialect::OpenAiResponses => plan.unheard(granted),
                // a byte is a quarter of a token, mostly
                _ => meter.scanned().div_ceil(4).min(granted),
            };
        }
        Self {
            usage,
            asked: meter.asked_model().unwrap_or(asked),
            meter: Some(meter),
            host,
        }
    }

    /// Of a call of which nothing was heard: its prompt was most likely read, and an answer in one piece
    /// is being written for nobody.
    pub(crate) fn unheard(call: &'a Call, plan: &Plan, granted: u64) -> Self {
        let mut usage = Usage::default();
        usage.uncached = plan.input;
        if !call.is_stream() {
            usage.visible = plan.unheard(granted);
        }
        Self {
            usage,
            asked: call.model().unwrap_or_default(),
            meter: None,
            host: None,
        }
    }

    /// Of an attempt that was given up.
    pub(crate) fn left_behind(
        left: &'a LeftBehind,
        call: &'a Call,
        plan: &Plan,
        granted: u64,
    ) -> Self {
        let asked = left.model.as_deref();
        let asked = asked.or(call.model()).unwrap_or_default();
        let host = left.host.as_deref();
        match &left.meter {
            Some(meter) => Self::of_answer(meter, plan, granted, host, asked),
            None if matches!(
                left.verdict,
                Verdict::TimedOut | Verdict::Outrun | Verdict::CallerGone
            ) =>
            {
                Self {
                    asked,
                    host,
                    ..Self::unheard(call, plan, granted)
                }
            }
            // it was not reached, or said so at once
            None => Self {
                usage: Usage::default(),
                asked,
                meter: None,
                host: None,
            },
        }
    }

    /// In the unit of a limit. `None`: the price is not known.
    pub(crate) fn amount<S>(&self, budget: &Budget<S>, unit: Unit) -> Option<u64> {
        if unit == Unit::Tokens {
            return Some(self.usage.total().min(MOST));
        }
        if self.usage == Usage::default() {
            return Some(0);
        }
        let served = self.meter.and_then(Meter::model);
        let served = served.as_deref().unwrap_or(self.asked);
        let tier = self.meter.and_then(Meter::service_tier);
        let speed = self.meter.and_then(Meter::speed);
        let geo = self.meter.and_then(Meter::geo);
        let mut purchase = Purchase::new(served, self.usage);
        purchase.service_tier = tier.as_deref();
        purchase.speed = speed.as_deref();
        purchase.geo = geo.as_deref();
        purchase.host = self.host;
        let parts = self.meter.map(Meter::usage_parts).unwrap_or_default();
        let sum = parts
            .iter()
            .fold(Usage::default(), |sum, (_, part)| sum.plus(*part));
        // not where the usage is more than the provider has said so far
        if parts.is_empty() || sum.total() != self.usage.total() {
            return either(budget, purchase, self.asked);
        }
        parts.iter().try_fold(0u64, |sum, (model, usage)| {
            let mut part = purchase;
            part.usage = *usage;
            part.model = model.as_deref().unwrap_or(served);
            let asked = model.as_deref().unwrap_or(self.asked);
            Some(sum.saturating_add(either(budget, part, asked)?))
        })
    }
}

/// By the name that the answer gives, else by the one that was asked for.
fn either<'p, S>(budget: &Budget<S>, mut purchase: Purchase<'p>, asked: &'p str) -> Option<u64> {
    budget.known_price(&purchase).or_else(|| {
        purchase.model = asked;
        budget.amount_of(Unit::Money, &purchase)
    })
}
