//! How long targets usually take to their first content.

use std::{collections::HashMap, time::Duration};

use foldhash::quality::RandomState;

/// Targets that are kept; the longest untouched go first.
const MOST: usize = 1 << 10;
/// Answers that are kept of each.
const KEPT: usize = 64;
/// Fewer say too little.
const FEWEST: usize = 20;

#[derive(Default)]
pub(super) struct Paces {
    known: HashMap<u64, Pace, RandomState>,
    clock: u64,
}

/// The last answers, in milliseconds, the oldest to be written over next.
struct Pace {
    millis: Vec<u32>,
    next: usize,
    touched: u64,
}

impl Paces {
    pub(super) fn learn(&mut self, key: u64, took: Duration) {
        self.clock += 1;
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            let oldest = self.known.iter().min_by_key(|(_, pace)| pace.touched);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.known.remove(&oldest);
            }
        }
        let pace = self.known.entry(key).or_insert_with(|| Pace {
            millis: Vec::new(),
            next: 0,
            touched: 0,
        });
        pace.touched = self.clock;
        // rounded up: a limit is never below what it is of
        let millis = took.as_nanos().div_ceil(1_000_000);
        let millis = u32::try_from(millis).unwrap_or(u32::MAX);
        if pace.millis.len() < KEPT {
            pace.millis.push(millis);
        } else {
            pace.millis[pace.next] = millis;
            pace.next = (pace.next + 1) % KEPT;
        }
    }

    /// The time in which 19 of 20 of the last answers began.
    pub(super) fn usual(&self, key: u64) -> Option<Duration> {
        let pace = self.known.get(&key)?;
        let count = pace.millis.len();
        if count < FEWEST {
            return None;
        }
        let mut sorted = [0; KEPT];
        let sorted = &mut sorted[..count];
        sorted.copy_from_slice(&pace.millis);
        let (_, usual, _) = sorted.select_nth_unstable((count * 19).div_ceil(20) - 1);
        Some(Duration::from_millis((*usual).into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn of_the_last_answers_19_of_20_began_in_the_usual_time_and_not_many_more(
            took in prop::collection::vec(0u64..5_000, 0..200),
        ) {
            let mut paces = Paces::default();
            for millis in &took {
                paces.learn(1, Duration::from_millis(*millis));
            }
            let last = &took[took.len().saturating_sub(KEPT)..];
            let Some(usual) = paces.usual(1) else {
                prop_assert!(last.len() < FEWEST);
                return Ok(());
            };
            let usual = u64::try_from(usual.as_millis()).unwrap();
            let within = last.iter().filter(|millis| **millis <= usual).count();
            let below = last.iter().filter(|millis| **millis < usual).count();
            prop_assert!(within * 20 >= last.len() * 19 && below * 20 < last.len() * 19);
            prop_assert!(last.contains(&usual));
        }
    }

    #[test]
    fn junk_keys_do_not_grow_the_map_and_the_oldest_go_first() {
        let mut paces = Paces::default();
        for _ in 0..FEWEST {
            paces.learn(0, Duration::from_secs(1));
        }
        for junk in 1..MOST as u64 {
            paces.learn(junk, Duration::ZERO);
        }
        assert!(paces.usual(0).is_some());
        paces.learn(MOST as u64, Duration::ZERO);
        assert!(paces.usual(0).is_none() && paces.known.len() == MOST);
    }
}
