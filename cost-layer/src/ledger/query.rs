//! What can be asked of a ledger.

use std::time::{Duration, SystemTime};

use llm_exchange::Money;

use crate::{Day, RecordId};

/// From a moment up to, and without, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment that belongs to it.
    pub from: SystemTime,
    /// The first that does not.
    pub to: SystemTime,
}

impl Span {
    /// All of a day, in UTC.
    #[must_use]
    pub fn day(day: Day) -> Self {
        Self {
            from: day.start(),
            to: day.next().start(),
        }
    }

    /// So many days up to and with this one, in UTC.
    #[must_use]
    pub fn days_up_to(day: Day, days: u32) -> Self {
        let to = day.next().start();
        let length = Duration::from_secs(u64::from(days) * 24 * 3_600);
        let first = SystemTime::UNIX_EPOCH;
        Self {
            from: to.checked_sub(length).unwrap_or(first).max(first),
            to,
        }
    }

    /// All of time.
    #[must_use]
    pub fn all() -> Self {
        Self {
            from: SystemTime::UNIX_EPOCH,
            // some 292,000 years on: what ledgers can count in microseconds
            to: SystemTime::UNIX_EPOCH + Duration::from_micros(i64::MAX as u64),
        }
    }

    pub(crate) fn contains(&self, time: SystemTime) -> bool {
        self.from <= time && time < self.to
    }
}

/// By what spending is summed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// One sum of everything; its key is empty.
    Total,
    /// By user. Calls without one have an empty key.
    User,
    /// By model.
    Model,
    /// By the provider's host.
    Provider,
    /// By day in UTC; the key is `2026-11-23`.
    Day,
    /// By the value of the tag of this name. Calls without it are left out.
    Tag(String),
}

/// A question about sums.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// When the calls began.
    pub span: Span,
    /// By what they are summed.
    pub by: By,
    /// Of this user alone.
    pub user: Option<String>,
    /// Of this model alone.
    pub model: Option<String>,
    /// The most sums. Default 1,000, and never more than [`MOST`](Self::MOST).
    pub most: usize,
}

impl Query {
    /// The most sums that a question is answered with.
    pub const MOST: usize = 100_000;

    /// All that was spent in a span, summed so.
    #[must_use]
    pub const fn new(span: Span, by: By) -> Self {
        Self {
            span,
            by,
            user: None,
            model: None,
            most: 1_000,
        }
    }

    /// Of one user.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// Of one model.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// So many sums at most, the largest.
    #[must_use]
    pub const fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    pub(crate) fn limit(&self) -> usize {
        self.most.min(Self::MOST)
    }
}

/// A sum of what was spent.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// Of which user, model, …, as [`By`] says.
    pub key: String,
    /// Calls, those included that a cache makes by itself; attempts left behind are none, though they cost.
    pub requests: u64,
    /// What they cost, as far as the prices are known.
    pub cost: Money,
    /// What answers from a cache would have cost.
    pub saved: Money,
    /// Calls and attempts whose price is not known.
    pub unpriced: u64,
    /// Calls and attempts whose usage is an estimate.
    pub estimated: u64,
    /// Tokens of prompts, cached ones included.
    pub input_tokens: u64,
    /// Of those, what was read from the provider's cache.
    pub cached_tokens: u64,
    /// Generated tokens, reasoning included.
    pub output_tokens: u64,
    /// Of those, reasoning.
    pub reasoning_tokens: u64,
}

impl Spend {
    /// The part of the prompts' tokens that was read from the provider's cache, from 0 to 1.
    #[must_use]
    pub fn cached_share(&self) -> f64 {
        if self.input_tokens == 0 {
            0.0
        } else {
            self.cached_tokens as f64 / self.input_tokens as f64
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.cost = self.cost.saturating_add(other.cost);
        self.saved = self.saved.saturating_add(other.saved);
        self.unpriced += other.unpriced;
        self.estimated += other.estimated;
        for (sum, part) in [
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.cached_tokens, other.cached_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.reasoning_tokens, other.reasoning_tokens),
        ] {
            *sum = sum.saturating_add(part);
        }
    }

    /// The largest first: to the micro-dollar, then by the key.
    pub(crate) fn sort(spends: &mut [Self]) {
        let rank = |spend: &Self| std::cmp::Reverse(spend.cost.picos() / 1_000_000);
        spends.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.key.cmp(&b.key)));
    }
}

/// A question about what was spent over time.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// When the calls ended; attempts left behind count when their call began.
    pub span: Span,
    /// Of how much time one sum is, in whole seconds, at least one.
    pub slot: Duration,
    /// By what they are summed besides.
    pub by: By,
    /// The most sums, the latest. Default [`Query::MOST`], and never more.
    pub most: usize,
}

impl Timeline {
    /// All that was spent in a span, summed so.
    #[must_use]
    pub const fn new(span: Span, slot: Duration, by: By) -> Self {
        Self {
            span,
            slot,
            by,
            most: Query::MOST,
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.most.min(Query::MOST)
    }

    /// In microseconds.
    pub(crate) fn slot_micros(&self) -> i64 {
        let seconds = i64::try_from(self.slot.as_secs()).unwrap_or(i64::MAX);
        seconds.clamp(1, i64::MAX / 1_000_000) * 1_000_000
    }
}

/// What was spent in a slot of time; nothing is not listed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// When it began.
    pub at: SystemTime,
    /// Of which user, model, …, as [`By`] says.
    pub key: String,
    /// What it cost, as far as the prices are known.
    pub cost: Money,
}

impl Slot {
    /// What was spent in a slot.
    #[must_use]
    pub const fn new(at: SystemTime, key: String, cost: Money) -> Self {
        Self { at, key, cost }
    }
}

/// In which order entries are listed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The latest first.
    Newest,
    /// The earliest first.
    Oldest,
}

/// A question for entries, page by page.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// When the calls began.
    pub span: Span,
    /// Of this user alone.
    pub user: Option<String>,
    /// Of this model alone.
    pub model: Option<String>,
    /// In which order.
    pub order: Order,
    /// The last entry of the page before: time, id and part.
    pub after: Option<(SystemTime, RecordId, u32)>,
    /// The most entries. Default 100, and never more than [`MOST`](Self::MOST).
    pub most: usize,
}

impl Page {
    /// The most entries of a page.
    pub const MOST: usize = 10_000;

    /// The first page of a span.
    #[must_use]
    pub const fn new(span: Span, order: Order) -> Self {
        Self {
            span,
            user: None,
            model: None,
            order,
            after: None,
            most: 100,
        }
    }

    /// Of one user.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// So many entries at most.
    #[must_use]
    pub const fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    pub(crate) fn limit(&self) -> usize {
        self.most.min(Self::MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_days_ends_with_its_last() {
        let day: Day = "2026-11-23".parse().unwrap();
        let span = Span::days_up_to(day, 30);
        assert_eq!(Day::of(span.from).to_string(), "2026-10-25");
        assert!(span.contains(day.start()) && !span.contains(day.next().start()));
        assert_eq!(Span::days_up_to(day, 1), Span::day(day));
        assert_eq!(Span::days_up_to(day, u32::MAX).from, SystemTime::UNIX_EPOCH);
    }
}
