//! The share of calls of which another target is asked. Pure arithmetic.

/// How many may come at once before the share counts.
const BURST: u32 = 10;
/// What one costs; a call earns its percentage of it.
const WHOLE: u32 = 100;

/// What was earned and not spent.
#[derive(Debug)]
pub(super) struct Credit(u32);

impl Default for Credit {
    fn default() -> Self {
        Self(BURST * WHOLE)
    }
}

impl Credit {
    pub(super) fn earn(&mut self, percent: u8) {
        let earned = u32::from(percent.min(100));
        self.0 = (self.0 + earned).min(BURST * WHOLE);
    }

    pub(super) fn take(&mut self) -> bool {
        let left = self.0.checked_sub(WHOLE);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    pub(super) fn give_back(&mut self) {
        self.0 = (self.0 + WHOLE).min(BURST * WHOLE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn of_any_calls_no_more_than_the_share_and_a_burst_are_asked_twice(
            percent in 0u8..=100, slow in prop::collection::vec(any::<bool>(), 0..2_000),
        ) {
            let mut credit = Credit::default();
            let mut asked = 0;
            for (calls, slow) in (1u64..).zip(slow) {
                credit.earn(percent);
                asked += u64::from(slow && credit.take());
                prop_assert!(asked * 100 <= calls * u64::from(percent) + 1_000);
            }
        }
    }

    #[test]
    fn where_all_are_slow_the_whole_share_is_asked_twice() {
        let mut credit = Credit::default();
        let asked = (0..1_000).filter(|_| {
            credit.earn(5);
            credit.take()
        });
        assert_eq!(asked.count(), 59);
    }

    #[test]
    fn what_is_given_back_is_there_again_and_no_more() {
        let mut credit = Credit::default();
        credit.give_back();
        let mut taken = 0;
        while credit.take() {
            taken += 1;
        }
        credit.give_back();
        assert!(taken == BURST && credit.take() && !credit.take());
    }
}
