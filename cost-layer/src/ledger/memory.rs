//! The ledger in memory.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use llm_exchange::Money;

use super::{By, Ledger, LedgerFuture, Order, Page, Query, Slot, Spend, Timeline, row::micros};
use crate::{Day, Entry, Record, Tags, entry::to_the_microsecond};

/// Keeps sums by hour, user, model, provider and tags, and the last records. All is gone with the process.
///
/// A question about sums is answered in whole hours: each hour that has a moment in its span counts. A
/// timeline is made of the last records alone.
/// Beyond the bound on sums the oldest hours are forgotten; in one hour with more, users and tags are
/// left out of the sums that come too late.
#[derive(Debug)]
pub struct MemoryLedger {
    state: Mutex<State>,
    most_sums: usize,
    most_entries: usize,
}

#[derive(Debug, Default)]
struct State {
    sums: BTreeMap<Key, Spend>,
    entries: VecDeque<Entry>,
    /// what `entries` holds
    ids: HashSet<(crate::RecordId, u32)>,
}

/// The hour first, so that the oldest are first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    hour: u64,
    user: Box<str>,
    model: Arc<str>,
    provider: Arc<str>,
    tags: Tags,
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            most_sums: 100_000,
            most_entries: 10_000,
        }
    }

    /// The most sums: of one hour, user, model, provider and set of tags each. Default 100,000, some
    /// 30 MB.
    #[must_use]
    pub const fn most_sums(mut self, sums: usize) -> Self {
        self.most_sums = if sums == 0 { 1 } else { sums };
        self
    }

    /// The most records that are kept themselves, counting attempts left behind. Default 10,000, some
    /// 8 MB.
    #[must_use]
    pub const fn most_entries(mut self, entries: usize) -> Self {
        self.most_entries = entries;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, records: &[Arc<Record>]) {
        let mut state = self.state();
        for entry in records.iter().flat_map(|record| record.entries()) {
            if !state.ids.contains(&(entry.id, entry.part)) {
                state.sum(entry, self.most_sums);
                state.list(entry, self.most_entries);
            }
        }
    }

    fn sums(&self, query: &Query) -> Vec<Spend> {
        let state = self.state();
        let (from, to) = (hour(query.span.from), hour(query.span.to));
        // an hour that has begun when the span ends belongs to it
        let to = to + u64::from(micros(query.span.to) % HOUR > 0);
        let mut found: BTreeMap<String, Spend> = BTreeMap::new();
        for (key, sum) in &state.sums {
            let fits = (from..to).contains(&key.hour)
                && query.user.as_deref().is_none_or(|user| *user == *key.user)
                && query
                    .model
                    .as_deref()
                    .is_none_or(|model| *model == *key.model);
            let by = match &query.by {
                _ if !fits => None,
                By::Total => Some(""),
                By::User => Some(&*key.user),
                By::Model => Some(&*key.model),
                By::Provider => Some(&*key.provider),
                By::Tag(name) => key.tags.get(name),
                By::Day => {
                    let day = Day::of(SystemTime::UNIX_EPOCH + key.start());
                    found.entry(day.to_string()).or_default().add(sum);
                    None
                }
            };
            if let Some(by) = by {
                match found.get_mut(by) {
                    Some(known) => known.add(sum),
                    None => found.entry(by.to_owned()).or_default().add(sum),
                }
            }
        }
        drop(state);
        let mut spends: Vec<_> = found
            .into_iter()
            .map(|(key, sum)| Spend { key, ..sum })
            .collect();
        Spend::sort(&mut spends);
        spends.truncate(query.limit());
        spends
    }

    /// Of the records that are kept.
    fn slots(&self, timeline: &Timeline) -> Vec<Slot> {
        let slot = timeline.slot_micros();
        let state = self.state();
        let mut sums: BTreeMap<(i64, String), Money> = BTreeMap::new();
        for entry in &state.entries {
            let cost = entry.cost().unwrap_or_default();
            let key = match &timeline.by {
                By::Total => Some(String::new()),
                By::User => Some(
                    entry
                        .user
                        .as_ref()
                        .map_or("", |user| user.as_str())
                        .to_owned(),
                ),
                By::Model => Some(entry.model.to_string()),
                By::Provider => Some(entry.provider.to_string()),
                By::Day => Some(Day::of(entry.at).to_string()),
                By::Tag(name) => entry.tags.get(name).map(str::to_owned),
            };
            let ended = entry.at.checked_add(entry.total).unwrap_or(entry.at);
            if let Some(key) = key
                && timeline.span.contains(ended)
                && cost > Money::ZERO
            {
                let sum = sums.entry((micros(ended) / slot, key)).or_default();
                *sum = sum.saturating_add(cost);
            }
        }
        drop(state);
        let earlier = sums.len().saturating_sub(timeline.limit());
        let slots = sums.into_iter().skip(earlier).map(|((number, key), cost)| {
            let at = Duration::from_micros((number * slot) as u64);
            Slot::new(SystemTime::UNIX_EPOCH + at, key, cost)
        });
        slots.collect()
    }

    fn list(&self, page: &Page) -> Vec<Entry> {
        let place = |entry: &Entry| (entry.at, entry.id, entry.part);
        let after = page
            .after
            .map(|(at, id, part)| (to_the_microsecond(at), id, part));
        let state = self.state();
        let mut found: Vec<&Entry> = state
            .entries
            .iter()
            .filter(|entry| {
                let user = entry.user.as_ref().map_or("", |user| user.as_str());
                page.span.contains(entry.at)
                    && page.user.as_deref().is_none_or(|wanted| wanted == user)
                    && page
                        .model
                        .as_deref()
                        .is_none_or(|model| *model == *entry.model)
                    && after.is_none_or(|after| match page.order {
                        Order::Newest => place(entry) < after,
                        Order::Oldest => place(entry) > after,
                    })
            })
            .collect();
        found.sort_by_key(|entry| place(entry));
        if page.order == Order::Newest {
            found.reverse();
        }
        found.into_iter().take(page.limit()).cloned().collect()
    }
}

const HOUR: i64 = 3_600_000_000;

fn hour(time: SystemTime) -> u64 {
    (micros(time) / HOUR) as u64
}

impl Key {
    fn start(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.hour * 3_600)
    }
}

impl State {
    fn sum(&mut self, entry: &Entry, most: usize) {
        let key = Key {
            hour: hour(entry.at),
            user: entry.user.as_ref().map_or("", |user| user.as_str()).into(),
            model: entry.model.clone(),
            provider: entry.provider.clone(),
            tags: entry.tags.clone(),
        };
        let key = if self.sums.contains_key(&key) {
            key
        } else {
            self.make_room(key, most)
        };
        self.sums.entry(key).or_default().add(&spend(entry));
    }

    /// The key, or a coarser one where its hour alone has too many.
    fn make_room(&mut self, key: Key, most: usize) -> Key {
        while self.sums.len() >= most {
            let oldest = self
                .sums
                .first_key_value()
                .map_or(key.hour, |(key, _)| key.hour);
            if oldest >= key.hour {
                return Key {
                    user: "".into(),
                    tags: Tags::new(),
                    model: "other".into(),
                    provider: Arc::default(),
                    ..key
                };
            }
            self.sums.retain(|known, _| known.hour > oldest);
        }
        key
    }

    fn list(&mut self, entry: &Entry, most: usize) {
        self.ids.insert((entry.id, entry.part));
        self.entries.push_back(entry.clone());
        while self.entries.len() > most
            && let Some(oldest) = self.entries.pop_front()
        {
            self.ids.remove(&(oldest.id, oldest.part));
        }
    }
}

/// What one entry adds to a sum.
pub(crate) fn spend(entry: &Entry) -> Spend {
    Spend {
        key: String::new(),
        requests: u64::from(entry.part == 0),
        cost: entry.cost().unwrap_or_default(),
        saved: entry.saved,
        unpriced: u64::from(entry.charge.is_none()),
        estimated: u64::from(entry.is_estimated),
        input_tokens: entry.usage.input(),
        cached_tokens: entry.usage.cached,
        output_tokens: entry.usage.output(),
        reasoning_tokens: entry.usage.reasoning,
    }
}

impl Ledger for MemoryLedger {
    fn append<'a>(&'a self, records: &'a [Arc<Record>]) -> LedgerFuture<'a, ()> {
        self.keep(records);
        Box::pin(std::future::ready(Ok(())))
    }

    fn spend<'a>(&'a self, query: &'a Query) -> LedgerFuture<'a, Vec<Spend>> {
        Box::pin(std::future::ready(Ok(self.sums(query))))
    }

    fn entries<'a>(&'a self, page: &'a Page) -> LedgerFuture<'a, Vec<Entry>> {
        Box::pin(std::future::ready(Ok(self.list(page))))
    }

    fn timeline<'a>(&'a self, timeline: &'a Timeline) -> LedgerFuture<'a, Vec<Slot>> {
        Box::pin(std::future::ready(Ok(self.slots(timeline))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{RecordId, Span};

    fn record(user: &str, hour: u64) -> Arc<Record> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(hour * 3_600);
        let mut entry = Entry::new(RecordId::new(), at, "m");
        entry.user = Some(llm_exchange::User::new(user));
        entry.charge = Some(Default::default());
        Arc::new(Record::new(entry, Vec::new()))
    }

    #[test]
    fn sums_and_records_are_bounded_and_the_oldest_hours_go_first() {
        let ledger = MemoryLedger::new().most_sums(100).most_entries(50);
        for hour in 0..30 {
            for user in 0..10 {
                ledger.keep(&[record(&user.to_string(), hour)]);
            }
        }
        let state = ledger.state();
        assert_eq!((state.entries.len(), state.ids.len()), (50, 50));
        assert!(state.sums.len() <= 100);
        assert_eq!(state.sums.first_key_value().unwrap().0.hour, 20);
    }

    #[test]
    fn an_hour_with_too_many_users_is_still_summed_whole() {
        let ledger = MemoryLedger::new().most_sums(10);
        for user in 0..1_000 {
            ledger.keep(&[record(&user.to_string(), 7)]);
        }
        let total = ledger.sums(&Query::new(Span::all(), By::Total));
        assert_eq!(total[0].requests, 1_000);
        assert!(ledger.state().sums.len() <= 11);
    }
}
