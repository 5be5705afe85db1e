//! Which targets failed lately.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::{BuildHasher, Hash},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use foldhash::quality::RandomState;
use llm_exchange::Verdict;
use tokio::time::Instant;

use crate::keys::Keys;

/// When a target is skipped for its failures: more than so many within so long, then for so long.
/// Default: more than 2 within 5 s, for 30 s.
///
/// An answer makes up for the oldest of the failures, so that a target that fails one call in a
/// hundred is not skipped because many are sent to it.
///
/// Failures of the host (overloaded, failed, timed out) are remembered for the host and the model,
/// those of an account (throttled, quota exhausted) for the credential besides, so that a caller
/// whose own key is used up does not take the target from the others.
///
/// At most 1,024 such keys are kept, the longest untouched go first; each has at most as many
/// moments as the failures it takes, and one.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    more_than: u8,
    within: Duration,
    skip_for: Duration,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// The default.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            more_than: 2,
            within: Duration::from_secs(5),
            skip_for: Duration::from_secs(30),
        }
    }

    /// How many failures are overlooked; one more and the target is skipped. Default 2.
    #[must_use]
    pub const fn more_than(mut self, failures: u8) -> Self {
        self.more_than = failures;
        self
    }

    /// How close together they are. Default 5 s.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// How long the target is skipped then. Default 30 s.
    #[must_use]
    pub const fn skip_for(mut self, time: Duration) -> Self {
        self.skip_for = time;
        self
    }
}

/// A target that failed lately, as the layer remembers it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The target's label.
    pub target: Box<str>,
    /// What its latest failure was.
    pub verdict: Verdict,
    /// How many failures are remembered of the time before it was skipped, or since.
    pub failures: usize,
    /// How long it will still be skipped. `None`: it is not.
    pub skipped_for: Option<Duration>,
}

/// The memory of one layer.
pub(crate) struct Memories {
    rule: Memory,
    hasher: RandomState,
    epoch: Instant,
    /// Until when anything that is kept matters, in milliseconds since the epoch: where all goes
    /// well, this is all that is looked at. It may be read a moment late, which costs one attempt.
    matters_until: AtomicU64,
    keys: Mutex<HashMap<u64, Entry, RandomState>>,
}

const MOST_KEYS: usize = 1024;

struct Entry {
    target: Box<str>,
    verdict: Verdict,
    failures: VecDeque<Instant>,
    latest: Instant,
    skipped_until: Option<Instant>,
}

impl Memories {
    pub(crate) fn new(rule: Memory) -> Self {
        Self {
            rule,
            hasher: RandomState::default(),
            epoch: Instant::now(),
            matters_until: AtomicU64::new(0),
            keys: Mutex::default(),
        }
    }

    /// A hash that is good for this memory alone.
    pub(crate) fn hash(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// Whether the target is to be skipped.
    pub(crate) fn is_skipped(&self, keys: impl FnOnce() -> Keys, now: Instant) -> bool {
        if self.millis(now) >= self.matters_until.load(Relaxed) {
            return false;
        }
        let keys = keys();
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        [keys.host, keys.account].iter().any(|key| {
            let until = known.get(key).and_then(|entry| entry.skipped_until);
            until.is_some_and(|until| now < until)
        })
    }

    /// It went well: that makes up for the oldest failure.
    pub(crate) fn went_well(&self, key: impl FnOnce() -> u64) {
        let until = self.matters_until.load(Relaxed);
        // mostly nothing ever failed, and the clock need not be asked
        if until == 0 || self.millis(Instant::now()) >= until {
            return;
        }
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get_mut(&key()) {
            entry.failures.pop_front();
        }
    }

    /// A target failed.
    pub(crate) fn failed(&self, key: u64, target: &str, verdict: Verdict, now: Instant) {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KEYS && !known.contains_key(&key) {
            // a scan for each new key over the limit: junk model names cost time, never memory
            let oldest = known.iter().min_by_key(|(_, entry)| entry.latest);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                known.remove(&oldest);
            }
        }
        let entry = known.entry(key).or_insert_with(|| Entry {
            target: target.into(),
            verdict,
            failures: VecDeque::new(),
            latest: now,
            skipped_until: None,
        });
        entry.verdict = verdict;
        entry.latest = entry.latest.max(now);
        let skipped_until = entry.failed(now, &self.rule);
        let matters_until = skipped_until.max(now.checked_add(self.rule.within));
        if let Some(until) = matters_until {
            self.matters_until.fetch_max(self.millis(until), Relaxed);
        }
    }

    /// What is remembered, the latest failure first.
    pub(crate) fn list(&self, now: Instant) -> Vec<Remembered> {
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries: Vec<_> = known
            .values()
            .filter(|entry| entry.is_recent(now, &self.rule))
            .collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.latest));
        entries
            .into_iter()
            .map(|entry| Remembered {
                target: entry.target.clone(),
                verdict: entry.verdict,
                failures: entry.failures.len(),
                skipped_for: entry
                    .skipped_until
                    .and_then(|until| until.checked_duration_since(now))
                    .filter(|left| !left.is_zero()),
            })
            .collect()
    }

    /// Forgets what this says yes to.
    pub(crate) fn forget(&self, of: impl Fn(&str) -> bool) {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, entry| !of(&entry.target));
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(since.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

impl Entry {
    /// Until when the target is skipped, if it is from now on.
    fn failed(&mut self, now: Instant, rule: &Memory) -> Option<Instant> {
        self.failures.push_back(now);
        let old = |at: &Instant| now.saturating_duration_since(*at) > rule.within;
        while self.failures.front().is_some_and(old) {
            self.failures.pop_front();
        }
        if self.failures.len() <= usize::from(rule.more_than) {
            return None;
        }
        self.failures.clear();
        // beyond the end of time it is not skipped
        let until = now.checked_add(rule.skip_for)?;
        self.skipped_until = self.skipped_until.max(Some(until));
        self.skipped_until
    }

    fn is_recent(&self, now: Instant, rule: &Memory) -> bool {
        self.skipped_until.is_some_and(|until| now < until)
            || now.saturating_duration_since(self.latest) <= rule.within
    }
}

impl fmt::Debug for Memories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memories")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(key: u64) -> Keys {
        Keys {
            host: key,
            account: key + 1_000_000,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn junk_keys_do_not_grow_the_map_and_the_oldest_go_first() {
        let memories = Memories::new(Memory::new().more_than(0));
        let start = Instant::now();
        for junk in 0..5_000 {
            let now = start + Duration::from_millis(junk);
            memories.failed(junk, "junk", Verdict::Failed, now);
        }
        assert_eq!(memories.keys.lock().unwrap().len(), MOST_KEYS);
        let now = start + Duration::from_secs(5);
        assert!(memories.is_skipped(|| keys(4_999), now));
        assert!(memories.is_skipped(|| keys(3_976), now));
        assert!(!memories.is_skipped(|| keys(3_975), now));
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_failed_lately_nothing_is_looked_up() {
        let memories = Memories::new(Memory::new());
        let start = Instant::now();
        let never = || -> Keys { panic!("looked up") };
        assert!(!memories.is_skipped(never, start));
        memories.went_well(|| panic!("looked up"));
        memories.failed(1, "t", Verdict::Failed, start);
        let later = start + Duration::from_millis(5_001);
        assert!(!memories.is_skipped(never, later));
        tokio::time::advance(later - start).await;
        memories.went_well(|| panic!("looked up"));
    }

    #[tokio::test(start_paused = true)]
    async fn times_without_end_skip_nothing() {
        let rule = Memory::new()
            .more_than(0)
            .within(Duration::MAX)
            .skip_for(Duration::MAX);
        let memories = Memories::new(rule);
        memories.failed(1, "t", Verdict::Failed, Instant::now());
        assert!(!memories.is_skipped(|| keys(1), Instant::now()));
    }

    /// What happens to one target, with the time since the last thing.
    #[derive(Clone, Copy, Debug)]
    enum Happens {
        Fails,
        Answers,
    }

    proptest! {
        #[test]
        fn it_is_skipped_exactly_while_the_rule_says_so(
            history in prop::collection::vec(
                (0u64..4_000, prop_oneof![3 => Just(Happens::Fails), 1 => Just(Happens::Answers)]),
                1..120,
            ),
            more_than in 0u8..4,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let _guard = runtime.enter();
            let rule = Memory::new()
                .more_than(more_than)
                .within(Duration::from_secs(5))
                .skip_for(Duration::from_secs(9));
            let memories = Memories::new(rule);
            let start = Instant::now();
            // the model: the moments of the failures that count, and when the skipping ends
            let (mut counted, mut until, mut at) = (Vec::<u64>::new(), 0, 0);
            for (passes, happens) in history {
                at += passes;
                runtime.block_on(tokio::time::advance(Duration::from_millis(passes)));
                let now = Instant::now();
                assert_eq!(now - start, Duration::from_millis(at));
                prop_assert_eq!(memories.is_skipped(|| keys(1), now), at < until, "at {}", at);
                match happens {
                    Happens::Fails => {
                        memories.failed(1, "t", Verdict::Failed, now);
                        counted.push(at);
                        counted.retain(|failed| at - failed <= 5_000);
                        if counted.len() > usize::from(more_than) {
                            counted.clear();
                            until = at + 9_000;
                        }
                    }
                    // once nothing matters any more, there is nothing to make up for either
                    Happens::Answers => {
                        memories.went_well(|| 1);
                        if !counted.is_empty() {
                            counted.remove(0);
                        }
                    }
                }
                prop_assert_eq!(memories.is_skipped(|| keys(2), now), false);
            }
        }
    }
}
