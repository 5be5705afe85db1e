//! How long to wait when the provider does not say.

use std::{fmt, time::Duration};

/// No wait is shorter than this.
pub(crate) const SHORTEST: Duration = Duration::from_millis(100);

/// Asked-for delays are lengthened by at most this share, so that a crowd that was told the same
/// moment does not come back as one.
const MOST_SPREAD: f64 = 0.1;

/// Exponential backoff with jitter.
///
/// The n-th retry waits `initial × multiplier^(n-1)`, at most `max`, spread by the jitter and never
/// less than 100 ms. Default: 1 s, ×2, at most 60 s, ±10 %.
///
/// ```
/// use std::time::Duration;
/// use retry_layer::Backoff;
///
/// # fn main() -> Result<(), retry_layer::InvalidBackoff> {
/// let backoff = Backoff::new()
///     .initial(Duration::from_millis(500))
///     .max(Duration::from_secs(20))
///     .multiplier(1.5)?
///     .full_jitter();
/// # let _ = backoff; Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    multiplier: f64,
    jitter: Jitter,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Jitter {
    /// Up to this share above and below.
    Share(f64),
    /// Anything up to the whole.
    Full,
}

/// A number that makes no backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidBackoff(&'static str);

impl fmt::Display for InvalidBackoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidBackoff {}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// The default: 1 s, ×2, at most 60 s, ±10 %.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: Jitter::Share(0.1),
        }
    }

    /// The wait before the first retry. Default 1 s.
    #[must_use]
    pub const fn initial(mut self, delay: Duration) -> Self {
        self.initial = delay;
        self
    }

    /// The longest wait, jitter included. Default 60 s.
    #[must_use]
    pub const fn max(mut self, delay: Duration) -> Self {
        self.max = delay;
        self
    }

    /// By how much each wait is longer than the one before. Default 2.
    ///
    /// # Errors
    ///
    /// If it is below 1 or not finite.
    pub fn multiplier(mut self, factor: f64) -> Result<Self, InvalidBackoff> {
        if !factor.is_finite() || factor < 1.0 {
            return Err(InvalidBackoff(
                "the multiplier must be finite and at least 1",
            ));
        }
        self.multiplier = factor;
        Ok(self)
    }

    /// The share by which a wait is spread, up and down. Default 0.1; 0 is none.
    ///
    /// # Errors
    ///
    /// If it is not within 0 to 1.
    pub fn jitter(mut self, share: f64) -> Result<Self, InvalidBackoff> {
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidBackoff("the jitter must be within 0 and 1"));
        }
        self.jitter = Jitter::Share(share);
        Ok(self)
    }

    /// Spreads each wait over everything from 100 ms to its full length, which keeps a large crowd
    /// of callers apart best.
    #[must_use]
    pub const fn full_jitter(mut self) -> Self {
        self.jitter = Jitter::Full;
        self
    }

    /// The wait before the n-th retry (from 1), for a random number within 0 and 1.
    #[must_use]
    pub fn delay(&self, retry: u32, random: f64) -> Duration {
        let step = self.step(retry);
        let (low, high) = match self.jitter {
            Jitter::Full => (SHORTEST.min(step), step),
            Jitter::Share(share) => (scale(step, 1.0 - share).min(step), scale(step, 1.0 + share)),
        };
        // the spread of the longest wait lies below it, or half of the crowd would meet at `max`
        spread(low, high.min(self.max), random).max(SHORTEST)
    }

    /// A wait that the provider asked for: never sooner, a little later by the jitter.
    pub(crate) fn asked(&self, delay: Duration, random: f64) -> Duration {
        let latest = scale(delay, 1.0 + self.hint_spread());
        spread(delay, latest, random).max(SHORTEST)
    }

    /// A wait that need not be longer: a little sooner by the jitter.
    pub(crate) fn at_most(&self, delay: Duration, random: f64) -> Duration {
        let soonest = scale(delay, 1.0 - self.hint_spread()).min(delay);
        spread(soonest, delay, random).max(SHORTEST)
    }

    fn hint_spread(&self) -> f64 {
        match self.jitter {
            Jitter::Share(share) => share.min(MOST_SPREAD),
            Jitter::Full => MOST_SPREAD,
        }
    }

    fn step(&self, retry: u32) -> Duration {
        let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        scale(self.initial, self.multiplier.powi(exponent)).min(self.max)
    }
}

/// A multiple of a duration; the longest one where it does not fit.
fn scale(delay: Duration, factor: f64) -> Duration {
    if delay.is_zero() {
        return delay;
    }
    Duration::try_from_secs_f64(delay.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

fn spread(low: Duration, high: Duration, random: f64) -> Duration {
    // from `low` exactly: floating point rounds, and an asked delay may not lose a nanosecond
    let width = high.saturating_sub(low);
    low + scale(width, random.clamp(0.0, 1.0)).min(width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_default_doubles_from_one_second_up_to_a_minute() {
        let plain = Backoff::new().jitter(0.0).unwrap();
        let delays: Vec<_> = (1..=8)
            .map(|retry| plain.delay(retry, 0.5).as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn whole_seconds_are_spread_by_a_tenth_both_ways() {
        let backoff = Backoff::new();
        assert_eq!(backoff.delay(1, 0.0), SECOND.mul_f64(0.9));
        assert_eq!(backoff.delay(1, 1.0), SECOND.mul_f64(1.1));
        assert_eq!(backoff.delay(1, 0.25), SECOND.mul_f64(0.95));
    }

    #[test]
    fn full_jitter_spreads_over_everything_from_100_ms() {
        let backoff = Backoff::new().full_jitter();
        assert_eq!(backoff.delay(2, 0.0), SHORTEST);
        assert_eq!(backoff.delay(2, 1.0), SECOND * 2);
        assert_eq!(backoff.delay(2, 0.5), Duration::from_millis(1050));
        // what was asked for is not shortened by it
        assert_eq!(backoff.asked(SECOND * 10, 0.0), SECOND * 10);
        assert_eq!(backoff.asked(SECOND * 10, 1.0), SECOND * 11);
    }

    #[test]
    fn the_longest_wait_is_spread_below_itself() {
        let backoff = Backoff::new();
        assert_eq!(backoff.delay(30, 1.0), SECOND * 60);
        assert_eq!(backoff.delay(30, 0.0), SECOND * 54);
        assert!(backoff.delay(30, 0.5) < SECOND * 60);
    }

    #[test]
    fn numbers_that_make_no_backoff_are_refused() {
        for factor in [0.5, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Backoff::new().multiplier(factor).is_err(), "{factor}");
        }
        for share in [-0.1, 1.1, f64::NAN] {
            assert!(Backoff::new().jitter(share).is_err(), "{share}");
        }
    }

    fn any_backoff() -> impl Strategy<Value = Backoff> {
        let duration =
            prop_oneof![0u64..10_000_000_000, any::<u64>()].prop_map(Duration::from_nanos);
        (
            duration.clone(),
            duration,
            1.0f64..1e6,
            prop::option::of(prop_oneof![Just(0.0), 0.0f64..=1.0]),
        )
            .prop_map(|(initial, max, multiplier, jitter)| {
                let backoff = Backoff::new()
                    .initial(initial)
                    .max(max)
                    .multiplier(multiplier)
                    .unwrap();
                match jitter {
                    Some(share) => backoff.jitter(share).unwrap(),
                    None => backoff.full_jitter(),
                }
            })
    }

    proptest! {
        #[test]
        fn every_wait_lies_between_100_ms_and_the_longest(
            backoff in any_backoff(), retry in any::<u32>(), random in 0.0f64..1.0,
        ) {
            let delay = backoff.delay(retry, random);
            prop_assert!(delay >= SHORTEST);
            prop_assert!(delay <= backoff.max.max(SHORTEST));
        }

        #[test]
        fn without_jitter_no_wait_is_shorter_than_the_one_before(
            backoff in any_backoff(), retry in 1u32..200, random in 0.0f64..1.0,
        ) {
            let plain = backoff.jitter(0.0).unwrap();
            prop_assert!(plain.delay(retry, random) <= plain.delay(retry + 1, random));
        }

        #[test]
        fn an_asked_delay_is_never_shortened_and_a_bound_never_passed(
            backoff in any_backoff(), nanos in any::<u64>(), random in 0.0f64..1.0,
        ) {
            let asked = Duration::from_nanos(nanos);
            prop_assert!(backoff.asked(asked, random) >= asked);
            prop_assert!(backoff.at_most(asked, random) <= asked.max(SHORTEST));
        }
    }
}
