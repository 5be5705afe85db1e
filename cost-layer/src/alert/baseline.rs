//! Whether somebody spends much more than is usual for them.

use std::{borrow::Borrow, cmp::Reverse, collections::HashMap, hash::Hash};

use foldhash::fast::RandomState;

/// A rate of spending is taken over so many minutes.
pub(crate) const MINUTES: u64 = 5;
/// So many slots of five minutes in which something was spent are remembered.
const REMEMBERED: usize = 64;
/// With fewer nothing is unusual yet: an hour of spending.
const ENOUGH: usize = 12;
/// The rate is unusual above the median and so many robust standard deviations …
const DEVIATIONS: u64 = 6;
/// … and above so many times the median, as a baseline may not vary at all.
const TIMES: u64 = 4;

/// Spending that is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unusual {
    /// In the last five minutes.
    pub(crate) spent: u64,
    /// In five minutes, at the median.
    pub(crate) usual: u64,
}

/// One key's past. Amounts are in nano-dollars.
///
/// Only slots in which something was spent are remembered: that nobody works at night says nothing
/// about how much is usual by day. An unusual slot is remembered as the highest that would have been
/// usual. So one spike changes the median and the deviations no more than any busy slot does, and cannot
/// hide the next, while what has become usual for good is learnt.
#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    slots: Vec<u64>,
    /// where the next one goes
    next: usize,
    slot: u64,
    in_slot: u64,
    minutes: [(u64, u64); MINUTES as usize],
}

impl Baseline {
    pub(crate) fn new(minute: u64) -> Self {
        Self {
            slots: Vec::new(),
            next: 0,
            slot: minute / MINUTES,
            in_slot: 0,
            minutes: [(0, 0); MINUTES as usize],
        }
    }

    /// Books what was spent in a minute. `floor` is what is never unusual.
    pub(crate) fn spend(&mut self, minute: u64, nanos: u64, floor: u64) -> Option<Unusual> {
        // time does not go back; what comes late is of now
        let minute = minute.max(self.slot * MINUTES);
        if minute / MINUTES != self.slot {
            self.close();
            self.slot = minute / MINUTES;
        }
        self.in_slot = self.in_slot.saturating_add(nanos);
        let at = &mut self.minutes[(minute % MINUTES) as usize];
        if at.0 != minute {
            *at = (minute, 0);
        }
        at.1 = at.1.saturating_add(nanos);
        let recent = self.minutes.iter().filter(|(of, _)| of + MINUTES > minute);
        let spent = recent.fold(0_u64, |sum, (_, nanos)| sum.saturating_add(*nanos));
        // most spending is small: the median is taken only where it may matter
        if spent <= floor {
            return None;
        }
        let (usual, limit) = self.limit()?;
        (spent > limit).then_some(Unusual { spent, usual })
    }

    /// The slot is over.
    fn close(&mut self) {
        let mut spent = std::mem::take(&mut self.in_slot);
        if spent == 0 {
            return;
        }
        if let Some((_, limit)) = self.limit() {
            spent = spent.min(limit);
        }
        if self.slots.len() < REMEMBERED {
            self.slots.push(spent);
        } else {
            self.slots[self.next] = spent;
            self.next = (self.next + 1) % REMEMBERED;
        }
    }

    /// The median, and what is unusual. `None`: too little is known.
    fn limit(&self) -> Option<(u64, u64)> {
        if self.slots.len() < ENOUGH {
            return None;
        }
        let mut slots = self.slots.clone();
        let usual = median(&mut slots);
        let mut deviations = slots;
        for slot in &mut deviations {
            *slot = slot.abs_diff(usual);
        }
        // 1.4826 deviations from the median are one standard deviation of a normal distribution
        let deviation = median(&mut deviations).saturating_mul(14_826) / 10_000;
        let by_deviation = usual.saturating_add(deviation.saturating_mul(DEVIATIONS));
        Some((usual, by_deviation.max(usual.saturating_mul(TIMES))))
    }
}

fn median(values: &mut [u64]) -> u64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable(middle).1
}

/// The baselines of many keys; those idle longest are forgotten first.
pub(crate) struct Baselines<K> {
    keys: HashMap<K, Baseline, RandomState>,
    most: usize,
}

impl<K: Eq + Hash> Baselines<K> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            keys: HashMap::default(),
            most,
        }
    }

    /// Books what one key spent; `own` makes a key that can be kept.
    pub(crate) fn spend<Q>(
        &mut self,
        key: &Q,
        own: impl FnOnce() -> K,
        minute: u64,
        nanos: u64,
        floor: u64,
    ) -> Option<Unusual>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(baseline) = self.keys.get_mut(key) {
            return baseline.spend(minute, nanos, floor);
        }
        if self.keys.len() >= self.most {
            self.forget();
        }
        let mut baseline = Baseline::new(minute);
        let unusual = baseline.spend(minute, nanos, floor);
        self.keys.insert(own(), baseline);
        unusual
    }

    /// Takes up what keys spent before, minute by minute, the earliest first. Keys that are known already
    /// stay as they are; of the others those that spent last, as many as may be.
    pub(crate) fn seed<T: Into<K>>(&mut self, past: Vec<(u64, T, u64)>) {
        let mut pasts = HashMap::<K, Vec<(u64, u64)>, RandomState>::default();
        for (minute, key, nanos) in past {
            let key = key.into();
            if !self.keys.contains_key(&key) {
                pasts.entry(key).or_default().push((minute, nanos));
            }
        }
        let mut pasts: Vec<_> = pasts.into_iter().collect();
        pasts.sort_unstable_by_key(|(_, past)| Reverse(past.last().map(|(minute, _)| *minute)));
        let room = self.most.saturating_sub(self.keys.len());
        for (key, past) in pasts.into_iter().take(room) {
            let first = past.first().map_or(0, |(minute, _)| *minute);
            let mut baseline = Baseline::new(first);
            for (minute, nanos) in past {
                // what is past is not unusual any more
                baseline.spend(minute, nanos, u64::MAX);
            }
            self.keys.insert(key, baseline);
        }
    }

    /// A quarter at once, so that the search is paid for by many keys.
    fn forget(&mut self) {
        let mut slots: Vec<u64> = self.keys.values().map(|baseline| baseline.slot).collect();
        let quarter = slots.len() / 4;
        let idle = *slots.select_nth_unstable(quarter).1;
        let mut left = quarter + 1;
        self.keys.retain(|_, baseline| {
            let goes = baseline.slot <= idle && left > 0;
            left -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOLLAR: u64 = 1_000_000_000;
    const NEVER: [u64; 0] = [];

    /// Spends so much in each of these minutes; the minutes in which it was unusual.
    fn run(baseline: &mut Baseline, minutes: impl Iterator<Item = (u64, u64)>) -> Vec<u64> {
        let unusual =
            minutes.filter(|(minute, nanos)| baseline.spend(*minute, *nanos, DOLLAR).is_some());
        unusual.map(|(minute, _)| minute).collect()
    }

    /// 40 to 60 cents a minute for a day.
    fn day() -> Baseline {
        let mut baseline = Baseline::new(0);
        let usual = (0..1_440).map(|minute| (minute, DOLLAR * (40 + minute * 7 % 21) / 100));
        assert_eq!(run(&mut baseline, usual), NEVER);
        baseline
    }

    #[test]
    fn a_runaway_loop_is_caught_within_minutes() {
        let mut baseline = day();
        // ten times as much as usual
        let caught = run(
            &mut baseline,
            (1_440..1_460).map(|minute| (minute, 5 * DOLLAR)),
        );
        assert!(caught[0] <= 1_442, "{caught:?}");
        assert_eq!(caught.last(), Some(&1_459));
    }

    #[test]
    fn a_new_key_is_not_unusual_by_itself_and_neither_is_one_that_never_spent() {
        let mut baseline = Baseline::new(0);
        assert_eq!(
            run(&mut baseline, (0..55).map(|minute| (minute, 100 * DOLLAR))),
            NEVER
        );
        let mut idle = Baseline::new(0);
        run(&mut idle, (0..1_440).map(|minute| (minute, 0)));
        assert_eq!(
            run(
                &mut idle,
                (1_440..1_450).map(|minute| (minute, 100 * DOLLAR))
            ),
            NEVER
        );
    }

    #[test]
    fn little_money_is_never_unusual() {
        let mut baseline = Baseline::new(0);
        run(
            &mut baseline,
            (0..1_440).map(|minute| (minute, DOLLAR / 10_000)),
        );
        let more = (1_440..1_500).map(|minute| (minute, DOLLAR / 6));
        assert_eq!(run(&mut baseline, more), NEVER);
    }

    #[test]
    fn one_spike_does_not_hide_the_next() {
        let mut baseline = day();
        let spike = |at| (at..at + 2).map(|minute| (minute, 500 * DOLLAR));
        let usual = |from: u64| (from..from + 30).map(|minute| (minute, DOLLAR / 2));
        for round in 0..4 {
            let at = 2_000 + round * 100;
            assert_ne!(run(&mut baseline, spike(at)), NEVER);
            // the minutes just after it still see it
            assert_eq!(run(&mut baseline, usual(at + 10)), NEVER);
        }
    }

    #[test]
    fn what_has_become_usual_is_learnt() {
        let mut baseline = day();
        let more = (1_440..4_000).map(|minute| (minute, 3 * DOLLAR));
        let unusual = run(&mut baseline, more);
        assert!(
            unusual.last().is_some_and(|last| *last < 1_440 + 5 * 64),
            "{unusual:?}"
        );
    }

    #[test]
    fn nights_say_nothing_about_days() {
        let mut baseline = Baseline::new(0);
        for day in 0..5 {
            let work = (0..480).map(|minute| (day * 1_440 + minute, DOLLAR));
            assert_eq!(run(&mut baseline, work), NEVER, "day {day}");
        }
    }

    #[test]
    fn keys_are_bounded_and_the_idle_go_first() {
        let mut all: Baselines<Box<str>> = Baselines::new(100);
        for minute in 0..2_000 {
            all.spend("busy", || "busy".into(), minute, DOLLAR, DOLLAR);
            let name = minute.to_string();
            all.spend(
                name.as_str(),
                || name.as_str().into(),
                minute,
                DOLLAR,
                DOLLAR,
            );
            assert!(all.keys.len() <= 100);
        }
        assert!(all.keys.contains_key("busy"));
    }

    #[test]
    fn of_a_long_past_those_who_spent_last_are_taken_up() {
        let mut all: Baselines<Box<str>> = Baselines::new(3);
        all.spend("known", || "known".into(), 900, DOLLAR, DOLLAR);
        let key = |minute: u64| (minute, format!("{}", minute / 100), DOLLAR);
        all.seed((0..800).step_by(5).map(key).collect());
        let mut keys: Vec<_> = all.keys.keys().map(AsRef::as_ref).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["6", "7", "known"]);
        assert_eq!(all.keys["7"].slots.len(), 19, "the last slot is not over");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn ordinary_noise_is_not_unusual(noise in proptest::collection::vec(20_u64..180, 600)) {
            let mut baseline = Baseline::new(0);
            let minutes = noise.iter().zip(0..).map(|(percent, minute)| (minute, DOLLAR * percent / 100));
            prop_assert_eq!(run(&mut baseline, minutes), Vec::<u64>::new());
        }

        #[test]
        fn no_history_panics(history in proptest::collection::vec((any::<u32>(), any::<u64>()), 0..200)) {
            let mut baseline = Baseline::new(0);
            for (minute, nanos) in history {
                baseline.spend(minute.into(), nanos, 0);
            }
        }
    }
}
