//! The retry budget: retries stay a share of the recent traffic, so that they cannot turn a
//! provider's trouble into a storm.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::quality::RandomState;
use http::Request;
use llm_exchange::Payload;
use tokio::time::Instant;

/// Seconds that are "recent".
const WINDOW: u64 = 10;

/// At most this many retries within any 10 s and per key: a share of the calls of these 10 s, and a
/// reserve for when there is little traffic. Default: 20 % of the calls and 10 a second.
///
/// The default key is the authority of the request's URI and the model. At most 4,096 keys are
/// kept (about 200 bytes each), the longest unused go first; a forgotten key starts anew.
#[derive(Clone)]
pub struct RetryBudget {
    percent: u32,
    per_second: u32,
    key: Option<KeyFn>,
}

type KeyFn = Arc<dyn Fn(&Request<Payload>, &RandomState) -> u64 + Send + Sync>;

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryBudget {
    /// The default: 20 % of recent calls and 10 a second, per authority and model.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            percent: 20,
            per_second: 10,
            key: None,
        }
    }

    /// Retries allowed for each hundred calls of the last 10 s. Default 20.
    #[must_use]
    pub const fn percent(mut self, percent: u32) -> Self {
        self.percent = percent;
        self
    }

    /// Retries allowed besides, for each of the last 10 s. Default 10.
    #[must_use]
    pub const fn per_second(mut self, retries: u32) -> Self {
        self.per_second = retries;
        self
    }

    /// Which calls share one budget. The key is hashed, not kept.
    #[must_use]
    pub fn key<K, F>(mut self, key: F) -> Self
    where
        K: Hash,
        F: Fn(&Request<Payload>) -> K + Send + Sync + 'static,
    {
        self.key = Some(Arc::new(move |request, hasher| {
            hasher.hash_one(key(request))
        }));
        self
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("percent", &self.percent)
            .field("per_second", &self.per_second)
            .finish_non_exhaustive()
    }
}

/// The budgets of all keys of one layer.
pub(crate) struct Budgets {
    rule: RetryBudget,
    hasher: RandomState,
    epoch: Instant,
    keys: Mutex<HashMap<u64, Window, BuildHasherDefault<Hashed>>>,
}

const MAX_KEYS: usize = 4096;

impl Budgets {
    pub(crate) fn new(rule: RetryBudget) -> Self {
        Self {
            rule,
            hasher: RandomState::default(),
            epoch: Instant::now(),
            keys: Mutex::new(HashMap::default()),
        }
    }

    /// Books a call and returns its key.
    pub(crate) fn call(
        &self,
        request: &Request<Payload>,
        model: Option<&str>,
        now: Instant,
    ) -> u64 {
        let key = match &self.rule.key {
            Some(key) => key(request, &self.hasher),
            None => {
                let authority = request
                    .uri()
                    .authority()
                    .map_or("", |authority| authority.as_str());
                self.hasher.hash_one((authority, model))
            }
        };
        self.with(key, |window| window.call(self.second(now)));
        key
    }

    /// Takes a retry from the key's budget, if it has one left.
    pub(crate) fn try_retry(&self, key: u64, now: Instant) -> bool {
        let second = self.second(now);
        self.with(key, |window| {
            window.try_retry(second, self.rule.percent, self.rule.per_second)
        })
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs()
    }

    fn with<T>(&self, key: u64, then: impl FnOnce(&mut Window) -> T) -> T {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = keys.get_mut(&key) {
            return then(window);
        }
        if keys.len() >= MAX_KEYS {
            // a scan for each new key over the limit: junk model names cost time, never memory
            let oldest = keys.iter().min_by_key(|(_, window)| window.latest);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                keys.remove(&oldest);
            }
        }
        then(keys.entry(key).or_default())
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgets")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

/// The keys are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Calls and retries of the last 10 s of one key, second by second.
#[derive(Clone, Debug, Default)]
struct Window {
    seconds: [Second; WINDOW as usize],
    latest: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    calls: u32,
    retries: u32,
}

impl Window {
    fn call(&mut self, second: u64) {
        let now = self.at(second);
        now.calls = now.calls.saturating_add(1);
    }

    fn try_retry(&mut self, second: u64, percent: u32, per_second: u32) -> bool {
        let (mut calls, mut retries) = (0u64, 0u64);
        for past in &self.seconds {
            if past.number + WINDOW > second {
                calls += u64::from(past.calls);
                retries += u64::from(past.retries);
            }
        }
        let allowed = calls * u64::from(percent) / 100 + u64::from(per_second) * WINDOW;
        if retries >= allowed {
            return false;
        }
        let now = self.at(second);
        now.retries = now.retries.saturating_add(1);
        true
    }

    fn at(&mut self, second: u64) -> &mut Second {
        self.latest = self.latest.max(second);
        let slot = &mut self.seconds[(second % WINDOW) as usize];
        // two threads may meet here in either order; the later second stays
        if slot.number < second {
            *slot = Second {
                number: second,
                ..Second::default()
            };
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fifth_of_the_recent_calls_may_be_sent_again() {
        let mut window = Window::default();
        (0..100).for_each(|_| window.call(3));
        let granted = (0..100).filter(|_| window.try_retry(4, 20, 0)).count();
        assert_eq!(granted, 20);
    }

    #[test]
    fn what_is_older_than_ten_seconds_counts_no_more() {
        let mut window = Window::default();
        (0..100).for_each(|_| window.call(3));
        assert!(window.try_retry(12, 20, 0));
        assert!(!window.try_retry(13, 20, 0));
    }

    #[test]
    fn a_call_of_an_earlier_second_that_comes_late_erases_nothing() {
        let mut window = Window::default();
        (0..100).for_each(|_| window.call(13));
        window.call(3);
        let granted = (0..100).filter(|_| window.try_retry(13, 20, 0)).count();
        assert_eq!(granted, 20);
    }

    #[test]
    fn a_key_without_traffic_still_has_its_reserve() {
        let mut window = Window::default();
        assert_eq!(
            (0..500).filter(|_| window.try_retry(0, 20, 10)).count(),
            100
        );
    }

    #[tokio::test(start_paused = true)]
    async fn junk_keys_do_not_grow_the_map() {
        let budgets = Budgets::new(
            RetryBudget::new().key(|request: &Request<Payload>| request.uri().path().to_owned()),
        );
        for junk in 0..5_000 {
            let request = Request::get(format!("/{junk}"))
                .body(Payload::new(String::new()))
                .unwrap();
            budgets.call(&request, None, Instant::now());
        }
        assert_eq!(budgets.keys.lock().unwrap().len(), MAX_KEYS);
    }

    proptest! {
        #[test]
        fn no_ten_seconds_ever_see_more_retries_than_allowed(
            history in prop::collection::vec((0u64..3, any::<bool>()), 1..400),
            percent in 0u32..120, per_second in 0u32..3,
        ) {
            let mut window = Window::default();
            let (mut second, mut calls, mut retries) = (0, Vec::new(), Vec::new());
            for (passes, retry) in history {
                second += passes;
                if !retry {
                    window.call(second);
                    calls.push(second);
                } else if window.try_retry(second, percent, per_second) {
                    retries.push(second);
                    let recent = |times: &[u64]| {
                        times.iter().filter(|time| **time + WINDOW > second).count() as u64
                    };
                    let allowed = recent(&calls) * u64::from(percent) / 100
                        + u64::from(per_second) * WINDOW;
                    prop_assert!(recent(&retries) <= allowed);
                }
            }
        }
    }
}
