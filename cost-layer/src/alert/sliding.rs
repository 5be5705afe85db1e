//! What was spent in the last hour.

use std::collections::VecDeque;

use llm_exchange::Money;

const HOUR: u64 = 3_600;

/// A sum that slides, exact to the second: at most 3,600 amounts are held.
#[derive(Default)]
pub(crate) struct SlidingHour {
    seconds: VecDeque<(u64, u128)>,
    sum: u128,
}

impl SlidingHour {
    /// Adds an amount, and returns what was spent in the hour that ends with the latest second.
    pub(crate) fn add(&mut self, second: u64, amount: Money) -> Money {
        let latest = self.seconds.back().map_or(0, |(at, _)| *at).max(second);
        while let Some((first, picos)) = self.seconds.front().copied()
            && first + HOUR <= latest
        {
            self.sum = self.sum.saturating_sub(picos);
            self.seconds.pop_front();
        }
        if second + HOUR > latest {
            let picos = amount.picos();
            self.sum = self.sum.saturating_add(picos);
            self.put(second, picos);
        }
        Money::from_picos(self.sum)
    }

    /// Into its own second: a thread that was held up comes a little late.
    fn put(&mut self, second: u64, picos: u128) {
        let later = self.seconds.iter().rev().take_while(|(at, _)| *at > second);
        let place = self.seconds.len() - later.count();
        match place.checked_sub(1).map(|at| &mut self.seconds[at]) {
            Some((at, sum)) if *at == second => *sum = sum.saturating_add(picos),
            _ => self.seconds.insert(place, (second, picos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Mostly in time, sometimes a little late, once in a while very.
    fn late() -> impl Strategy<Value = u64> {
        prop_oneof![6 => Just(0), 3 => 1_u64..5, 1 => 0_u64..9_000]
    }

    proptest! {
        #[test]
        fn it_is_the_sum_of_the_last_hour_and_of_nothing_else(
            charges in proptest::collection::vec((0_u64..900, 0_u64..1_000, late()), 1..200),
        ) {
            let mut sliding = SlidingHour::default();
            let (mut clock, mut latest, mut all) = (0_u64, 0, Vec::new());
            for (pause, picos, late) in charges {
                clock += pause;
                let at = clock.saturating_sub(late);
                latest = at.max(latest);
                all.push((at, u128::from(picos)));
                let expected = all.iter().filter(|(at, _)| at + HOUR > latest).map(|(_, picos)| picos);
                let found = sliding.add(at, Money::from_picos(picos.into()));
                prop_assert_eq!(found.picos(), expected.sum::<u128>());
                prop_assert!(sliding.seconds.len() <= 3_600);
            }
        }
    }
}
