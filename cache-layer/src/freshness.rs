//! How long an answer is served. The time and the dice come in as arguments.

use std::time::Duration;

/// For how long answers are served, and when in spite of their age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freshness {
    pub(crate) ttl: Duration,
    /// The share of it by which an answer may expire sooner.
    pub(crate) jitter: f64,
    /// How long past its time an answer is served while a new one is got.
    pub(crate) while_revalidate: Duration,
    /// How long past its time an answer is served where the provider fails.
    pub(crate) if_error: Duration,
}

/// What an answer of the cache is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Nothing.
    Nothing,
    /// To be served if the provider fails.
    IfError,
    /// To be served at once, while a new one is got.
    WhileRevalidate,
    /// To be served.
    Fresh,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3600),
            jitter: 0.1,
            while_revalidate: Duration::ZERO,
            if_error: Duration::ZERO,
        }
    }
}

impl Freshness {
    /// The time of an answer that is stored now; `random` is within 0 and 1.
    pub(crate) fn ttl(&self, random: f64) -> Duration {
        let shorter = self.ttl.mul_f64((self.jitter * random).clamp(0.0, 1.0));
        self.ttl.saturating_sub(shorter)
    }

    /// How long a store has to keep an answer of this time.
    pub(crate) fn keep(&self, ttl: Duration) -> Duration {
        ttl.saturating_add(self.while_revalidate.max(self.if_error))
    }

    /// What an answer of this age and time is good for, for a caller who wants it to be at most
    /// `max_age` old.
    pub(crate) fn judge(&self, age: Duration, ttl: Duration, max_age: Option<Duration>) -> Use {
        if max_age.is_some_and(|max_age| age >= max_age) {
            return Use::Nothing;
        }
        let past = match age.checked_sub(ttl) {
            None => return Use::Fresh,
            // an age of nothing is fresh only where some age is
            Some(past) => past,
        };
        if past < self.while_revalidate {
            Use::WhileRevalidate
        } else if past < self.if_error {
            Use::IfError
        } else {
            Use::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rules() -> Freshness {
        Freshness {
            ttl: SECOND * 100,
            jitter: 0.1,
            while_revalidate: SECOND * 10,
            if_error: SECOND * 1000,
        }
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_for_outages_then_gone() {
        let judge = |age: u32| rules().judge(SECOND * age, SECOND * 90, None);
        assert_eq!(judge(0), Use::Fresh);
        assert_eq!(judge(89), Use::Fresh);
        assert_eq!(judge(90), Use::WhileRevalidate);
        assert_eq!(judge(99), Use::WhileRevalidate);
        assert_eq!(judge(100), Use::IfError);
        assert_eq!(judge(1089), Use::IfError);
        assert_eq!(judge(1090), Use::Nothing);
    }

    #[test]
    fn a_caller_may_want_a_younger_answer_but_gets_no_older_one() {
        let judge =
            |age: u32, max: u32| rules().judge(SECOND * age, SECOND * 90, Some(SECOND * max));
        assert_eq!(judge(20, 30), Use::Fresh);
        assert_eq!(judge(30, 30), Use::Nothing);
        assert_eq!(judge(0, 0), Use::Nothing);
        assert_eq!(judge(95, 95), Use::Nothing);
        assert_eq!(judge(95, 1000), Use::WhileRevalidate);
        let none = Freshness::default().judge(SECOND, SECOND * 90, Some(SECOND));
        assert_eq!(none, Use::Nothing);
    }

    proptest! {
        #[test]
        fn jitter_only_shortens_and_never_by_more_than_its_share(
            ttl in 0u64..1 << 40, jitter in 0.0f64..=1.0, random in 0.0f64..1.0,
        ) {
            let rules = Freshness { ttl: Duration::from_millis(ttl), jitter, ..rules() };
            let jittered = rules.ttl(random);
            prop_assert!(jittered <= rules.ttl);
            let least = rules.ttl.mul_f64(1.0 - jitter).saturating_sub(Duration::from_millis(1));
            prop_assert!(jittered >= least);
        }

        #[test]
        fn an_answer_is_never_good_for_more_as_it_ages(
            age in 0u64..10_000, older in 0u64..10_000, ttl in 0u64..5_000, max in 0u64..5_000,
        ) {
            let judge = |age| rules().judge(
                Duration::from_secs(age),
                Duration::from_secs(ttl),
                Some(Duration::from_secs(max)),
            );
            prop_assert!(judge(age + older) <= judge(age));
        }
    }
}
