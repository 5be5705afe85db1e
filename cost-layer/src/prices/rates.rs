//! What one model costs: its rates, and what changes them.

use std::time::SystemTime;

use llm_exchange::{Purchase, Usage};

use super::{
    charge::Charge,
    off_peak::OffPeak,
    rate::{Factor, Rate},
};

/// The prices of tokens. What a list does not give is `None`, which is never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) input: Option<Rate>,
    pub(crate) cached: Option<Rate>,
    pub(crate) cache_write: Option<Rate>,
    pub(crate) cache_write_long: Option<Rate>,
    pub(crate) audio_input: Option<Rate>,
    pub(crate) output: Option<Rate>,
    pub(crate) reasoning: Option<Rate>,
    pub(crate) audio_output: Option<Rate>,
}

/// A provider's class of service, as the answer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Batch,
    Flex,
    Priority,
    Ultrafast,
}

impl Service {
    /// `None`: the usual one, or one that is paid for in another way.
    pub(crate) fn of(tier: &str) -> Option<Self> {
        let is = |name| tier.eq_ignore_ascii_case(name);
        if is("batch") || is("batches") {
            Some(Self::Batch)
        } else if is("flex") || is("ON_DEMAND_FLEX") {
            Some(Self::Flex)
        } else if is("priority") || is("fast") || is("ON_DEMAND_PRIORITY") {
            Some(Self::Priority)
        } else if is("ultrafast") {
            Some(Self::Ultrafast)
        } else {
            None
        }
    }
}

/// Rates for prompts above a size, for a class of service, or for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlay {
    /// In tokens of the whole prompt; 0: of any size.
    pub(crate) above: u64,
    pub(crate) service: Option<Service>,
    pub(crate) rates: Rates,
}

/// What one model costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelPrice {
    pub(crate) provider: Box<str>,
    pub(crate) base: Rates,
    pub(crate) overlays: Vec<Overlay>,
    pub(crate) off_peak: Option<OffPeak>,
    /// By what the answer says of speed and place: `fast`, `us`.
    pub(crate) factors: Vec<(Box<str>, Factor)>,
    /// By the first label of the host: `eu` of `eu.api.openai.com`.
    pub(crate) regions: Vec<(Box<str>, Factor)>,
    pub(crate) search: Option<Rate>,
}

impl Rates {
    fn or(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            cached: self.cached.or(other.cached),
            cache_write: self.cache_write.or(other.cache_write),
            cache_write_long: self.cache_write_long.or(other.cache_write_long),
            audio_input: self.audio_input.or(other.audio_input),
            output: self.output.or(other.output),
            reasoning: self.reasoning.or(other.reasoning),
            audio_output: self.audio_output.or(other.audio_output),
        }
    }

    /// These rates, given for a tier, and for what they leave out the usual ones in the same
    /// proportion: lists give a tier's input and output and not always its cache.
    fn over(self, base: Self) -> Self {
        let scale = |rate: Option<Rate>, from: Option<Rate>, to: Option<Rate>| match (from, to) {
            (Some(from), Some(to)) => rate.map(|rate| rate.as_from_to(from, to)),
            _ => rate,
        };
        let input = |rate| scale(rate, base.input, self.input);
        let write = |rate| match self.cache_write {
            Some(_) => scale(rate, base.cache_write, self.cache_write),
            None => input(rate),
        };
        let output = |rate| scale(rate, base.output, self.output);
        self.or(Self {
            input: base.input,
            cached: input(base.cached),
            cache_write: input(base.cache_write),
            cache_write_long: write(base.cache_write_long),
            audio_input: input(base.audio_input),
            output: base.output,
            reasoning: output(base.reasoning),
            audio_output: output(base.audio_output),
        })
    }
}

impl ModelPrice {
    /// The charge for a purchase. `None`: a rate that it needs is not known.
    pub(crate) fn charge(&self, purchase: &Purchase<'_>, now: SystemTime) -> Option<Charge> {
        let usage = &purchase.usage;
        let service = purchase.service_tier.and_then(Service::of);
        let mut rates = self.rates(usage.input(), service);
        if let Some(off_peak) = &self.off_peak
            && off_peak.is_at(purchase.at.unwrap_or(now))
        {
            rates = off_peak.rates.over(rates);
        }
        charge(usage, &rates, self.factor(purchase), self.search)
    }

    /// The rates for a prompt of this size. Where it is above a tier's threshold all tokens of the
    /// call are of that tier, also cached and generated ones.
    fn rates(&self, input: u64, service: Option<Service>) -> Rates {
        // xAI alone counts the threshold itself as above
        let is_above = |above| {
            if &*self.provider == "xai" {
                input >= above
            } else {
                input > above
            }
        };
        let sizes = self.overlays.iter().map(|overlay| overlay.above);
        let above = sizes.filter(|above| *above > 0 && is_above(*above)).max();
        let above = above.unwrap_or(0);
        let find = |above, service| {
            let mut fitting = self.overlays.iter();
            fitting.find(|overlay| overlay.above == above && overlay.service == service)
        };
        let mut rates = self.base;
        if let Some(served) = service.and_then(|_| find(0, service)) {
            rates = served.rates.over(rates);
        }
        if above > 0 {
            // what is given for both at once, else what the size does to the usual price
            match service.and_then(|_| find(above, service)) {
                Some(both) => rates = both.rates.over(rates),
                None => {
                    if let Some(sized) = find(above, None) {
                        let sized = sized.rates.over(self.base);
                        rates = sized.scaled_from(self.base, rates);
                    }
                }
            }
        }
        rates
    }

    fn factor(&self, purchase: &Purchase<'_>) -> Factor {
        let named = |factors: &[(Box<str>, Factor)], name: &str| {
            let found = factors.iter().find(|(known, _)| **known == *name);
            found.map_or(Factor::ONE, |(_, factor)| *factor)
        };
        let said = [purchase.geo, purchase.speed].into_iter().flatten();
        let factor = said.fold(Factor::ONE, |factor, name| {
            factor.and(named(&self.factors, name))
        });
        let region = purchase.host.and_then(|host| host.split_once('.'));
        region.map_or(factor, |(region, _)| {
            factor.and(named(&self.regions, region))
        })
    }
}

impl Rates {
    /// Each rate times what `base` became in `served`.
    fn scaled_from(self, base: Self, served: Self) -> Self {
        let scale = |rate: Option<Rate>, from: Option<Rate>, to: Option<Rate>| {
            Some(match (from, to) {
                (Some(from), Some(to)) => rate?.as_from_to(from, to),
                _ => rate?,
            })
        };
        Self {
            input: scale(self.input, base.input, served.input),
            cached: scale(self.cached, base.cached, served.cached),
            cache_write: scale(self.cache_write, base.cache_write, served.cache_write),
            cache_write_long: scale(
                self.cache_write_long,
                base.cache_write_long,
                served.cache_write_long,
            ),
            audio_input: scale(self.audio_input, base.audio_input, served.audio_input),
            output: scale(self.output, base.output, served.output),
            reasoning: scale(self.reasoning, base.reasoning, served.reasoning),
            audio_output: scale(self.audio_output, base.audio_output, served.audio_output),
        }
    }
}

/// A price that is not given is that of the plainer token: of the prompt's tokens input, of a long
/// write a short one, of reasoning output.
pub(crate) fn charge(
    usage: &Usage,
    rates: &Rates,
    factor: Factor,
    search: Option<Rate>,
) -> Option<Charge> {
    let mut charge = Charge::default();
    let mut item = |units: u64, rate: Option<Rate>, factor| {
        if units == 0 {
            return Some(Default::default());
        }
        let product = rate?.of(units, factor);
        charge.saturated |= product.saturated;
        Some(llm_exchange::Money::from_picos(product.picos))
    };
    let write = rates.cache_write.or(rates.input);
    let input = item(usage.uncached, rates.input, factor)?;
    let cached = item(usage.cached, rates.cached.or(rates.input), factor)?;
    let cache_write = item(usage.cache_write, write, factor)?;
    let long = rates.cache_write_long.or(write);
    let cache_write_long = item(usage.cache_write_long, long, factor)?;
    let audio_input = item(usage.audio_input, rates.audio_input.or(rates.input), factor)?;
    let output = item(usage.visible, rates.output, factor)?;
    let reasoning = item(usage.reasoning, rates.reasoning.or(rates.output), factor)?;
    let audio = rates.audio_output.or(rates.output);
    let audio_output = item(usage.audio_output, audio, factor)?;
    // what a tool costs depends on neither place nor speed; a fee that is not listed is not charged
    let tools = match search {
        Some(_) => item(usage.web_searches, search, Factor::ONE)?,
        None => Default::default(),
    };
    Some(Charge {
        input,
        cached,
        cache_write,
        cache_write_long,
        audio_input,
        output,
        reasoning,
        audio_output,
        tools,
        ..charge
    })
}
