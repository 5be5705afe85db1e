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
    /// Adds an amount, and returns what was spent in the hour that ends with this second.
    pub(crate) fn add(&mut self, second: u64, amount: Money) -> Money {
        while let Some((first, picos)) = self.seconds.front().copied()
            && first + HOUR <= second
        {
            self.sum = self.sum.saturating_sub(picos);
            self.seconds.pop_front();
        }
        let picos = amount.picos();
        self.sum = self.sum.saturating_add(picos);
        match self.seconds.back_mut() {
            // a call that ended on another thread just before
            Some((last, sum)) if *last >= second => *sum = sum.saturating_add(picos),
            _ => self.seconds.push_back((second, picos)),
        }
        Money::from_picos(self.sum)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_sum_of_the_last_hour_and_of_nothing_else(
            charges in proptest::collection::vec((0_u64..900, 0_u64..1_000), 1..200),
        ) {
            let mut sliding = SlidingHour::default();
            let (mut now, mut all) = (0, Vec::new());
            for (pause, picos) in charges {
                now += pause;
                all.push((now, u128::from(picos)));
                let expected = all.iter().filter(|(at, _)| at + HOUR > now).map(|(_, picos)| picos);
                let found = sliding.add(now, Money::from_picos(picos.into()));
                prop_assert_eq!(found.picos(), expected.sum::<u128>());
                prop_assert!(sliding.seconds.len() <= 3_600);
            }
        }
    }
}
