//! What the provider's cache really saved, by the usage in its answers.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use llm_exchange::{BodyEnd, Meter, Money, Observe, Purchase, Usage};

use crate::stats::Prices;

/// Prefixes that the report tells apart. For a further one the least used goes, and is in the sum alone.
const MOST_PREFIXES: usize = 256;

#[derive(Default)]
pub(super) struct Report(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    all: PromptCacheStats,
    prefixes: HashMap<u64, PrefixStats>,
}

/// What the provider's cache did, of calls whose usage is known.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptCacheStats {
    /// LLM calls that came through.
    pub calls: u64,
    /// Of these, those that were marked or given a key.
    pub marked: u64,
    /// Prompt tokens in all.
    pub input: u64,
    /// Of these, read from the provider's cache.
    pub cached: u64,
    /// Of these, written to it.
    pub written: u64,
    /// What the calls cost, where [`priced_by`](crate::PromptCacheLayer::priced_by) knows.
    pub cost: Money,
    /// What the same calls had cost without a cache.
    pub cost_without: Money,
}

/// The same of one stable prefix.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixStats {
    /// The prefix: a hash with a secret.
    pub prefix: u64,
    /// Calls with it whose usage is known.
    pub calls: u64,
    /// Of these, those of which something was read from the provider's cache.
    pub hits: u64,
    /// Tokens read from the provider's cache.
    pub cached: u64,
    /// Tokens written to it.
    pub written: u64,
}

impl PromptCacheStats {
    /// The share of the prompt tokens that was read from the provider's cache.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        if self.input == 0 {
            0.0
        } else {
            self.cached as f64 / self.input as f64
        }
    }

    /// What was saved, in pico-dollars; negative where writes cost more than reads saved.
    #[must_use]
    pub fn net_saved_picos(&self) -> i128 {
        let picos = |money: Money| i128::try_from(money.picos()).unwrap_or(i128::MAX);
        picos(self.cost_without).saturating_sub(picos(self.cost))
    }
}

impl PrefixStats {
    /// The share of its calls of which something was read from the provider's cache.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        if self.calls == 0 {
            0.0
        } else {
            self.hits as f64 / self.calls as f64
        }
    }
}

impl Report {
    pub(super) fn call(&self, marked: bool) {
        let mut inner = self.lock();
        inner.all.calls += 1;
        inner.all.marked += u64::from(marked);
    }

    fn answer(&self, prefix: Option<u64>, usage: Usage, cost: Option<(Money, Money)>) {
        let mut inner = self.lock();
        let written = usage.cache_write.saturating_add(usage.cache_write_long);
        let all = &mut inner.all;
        all.input = all.input.saturating_add(usage.input());
        all.cached = all.cached.saturating_add(usage.cached);
        all.written = all.written.saturating_add(written);
        if let Some((cost, without)) = cost {
            all.cost = all.cost.saturating_add(cost);
            all.cost_without = all.cost_without.saturating_add(without);
        }
        let Some(prefix) = prefix else {
            return;
        };
        if inner.prefixes.len() == MOST_PREFIXES && !inner.prefixes.contains_key(&prefix) {
            let used = |of: &&PrefixStats| (of.calls, of.cached);
            let least = inner.prefixes.values().min_by_key(used).map(|of| of.prefix);
            least.and_then(|least| inner.prefixes.remove(&least));
        }
        let of_it = inner.prefixes.entry(prefix).or_insert(PrefixStats {
            prefix,
            calls: 0,
            hits: 0,
            cached: 0,
            written: 0,
        });
        of_it.calls += 1;
        of_it.hits += u64::from(usage.cached > 0);
        of_it.cached = of_it.cached.saturating_add(usage.cached);
        of_it.written = of_it.written.saturating_add(written);
    }

    pub(super) fn stats(&self) -> PromptCacheStats {
        self.lock().all
    }

    pub(super) fn prefixes(&self) -> Vec<PrefixStats> {
        let mut all: Vec<_> = self.lock().prefixes.values().copied().collect();
        all.sort_by_key(|of| std::cmp::Reverse((of.cached, of.prefix)));
        all
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches an answer to its end, where its usage is known.
pub struct Tally {
    pub(super) meter: Meter,
    pub(super) prefix: Option<u64>,
    /// Where the call went, if that is to be priced.
    pub(super) host: Option<Box<str>>,
    pub(super) report: Arc<Report>,
    pub(super) prices: Prices,
}

impl Observe for Tally {
    fn meter(&self) -> Option<&Meter> {
        Some(&self.meter)
    }

    fn end(&mut self, _: BodyEnd<'_>) {
        // what a stream said last counts, however it ended
        if let Some(usage) = self.meter.usage() {
            self.report.answer(self.prefix, usage, self.cost(usage));
        }
    }
}

impl Tally {
    /// What it cost, and would have cost without a cache.
    fn cost(&self, usage: Usage) -> Option<(Money, Money)> {
        let prices = self.prices.as_deref()?;
        let model = self.meter.model()?;
        let tier = self.meter.service_tier();
        let price = |usage| {
            let mut purchase = Purchase::new(&model, usage);
            purchase.service_tier = tier.as_deref();
            purchase.host = self.host.as_deref();
            prices.price(&purchase)
        };
        let mut without = usage;
        let cached = usage.cached.saturating_add(usage.cache_write);
        without.uncached = usage
            .uncached
            .saturating_add(cached.saturating_add(usage.cache_write_long));
        (
            without.cached,
            without.cache_write,
            without.cache_write_long,
        ) = (0, 0, 0);
        // what the provider states is of this call as it was
        without.stated_pico_usd = None;
        let mut with = usage;
        with.stated_pico_usd = None;
        Some((price(with)?, price(without)?))
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally")
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_a_further_prefix_the_least_used_one_goes() {
        let report = Report::default();
        let mut usage = Usage::default();
        usage.cached = 10;
        let told = |prefix| report.prefixes().iter().any(|of| of.prefix == prefix);
        for prefix in 0..MOST_PREFIXES as u64 {
            report.answer(Some(prefix), usage, None);
            if prefix != 7 {
                report.answer(Some(prefix), usage, None);
            }
        }
        report.answer(Some(1 << 20), usage, None);
        assert!(told(1 << 20) && !told(7) && told(6));
        assert_eq!(report.prefixes().len(), MOST_PREFIXES);
        assert_eq!(report.stats().cached, 10 * 2 * MOST_PREFIXES as u64);
    }
}
