//! How the recent calls of a circuit went, in constant time for each call.

use crate::rules::{Nanos, Span};

/// The calls of the span: the last so many, or those of the last so long.
#[derive(Clone, Debug)]
pub(crate) enum Recent {
    Calls(Ring),
    Time(Buckets),
}

/// How many calls, and how many of them were what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) calls: u32,
    pub(crate) failed: u32,
    pub(crate) slow: u32,
}

impl Tally {
    fn add(&mut self, failed: bool, slow: bool) {
        self.calls = self.calls.saturating_add(1);
        self.failed = self.failed.saturating_add(u32::from(failed));
        self.slow = self.slow.saturating_add(u32::from(slow));
    }

    fn take(&mut self, gone: Self) {
        self.calls = self.calls.saturating_sub(gone.calls);
        self.failed = self.failed.saturating_sub(gone.failed);
        self.slow = self.slow.saturating_sub(gone.slow);
    }
}

impl Recent {
    pub(crate) fn new(span: Span) -> Self {
        match span {
            Span::Calls(calls) => Self::Calls(Ring::new(calls)),
            Span::Time(time) => Self::Time(Buckets::new(time)),
        }
    }

    /// Adds a call that ended now, and tells how the span's calls went.
    #[inline]
    pub(crate) fn record(&mut self, now: Nanos, failed: bool, slow: bool) -> Tally {
        match self {
            Self::Calls(ring) => ring.record(failed, slow),
            Self::Time(buckets) => buckets.record(now, failed, slow),
        }
    }
}

/// The last `calls` calls, two bits each.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    bits: Box<[u64]>,
    calls: u32,
    next: u32,
    tally: Tally,
}

/// Calls to a word of bits.
const PER_WORD: u32 = u64::BITS / 2;

impl Ring {
    fn new(calls: u32) -> Self {
        Self {
            bits: vec![0; calls.div_ceil(PER_WORD) as usize].into(),
            calls,
            next: 0,
            tally: Tally::default(),
        }
    }

    #[inline]
    fn record(&mut self, failed: bool, slow: bool) -> Tally {
        let shift = self.next % PER_WORD * 2;
        let word = &mut self.bits[(self.next / PER_WORD) as usize];
        if self.tally.calls == self.calls {
            let oldest = *word >> shift;
            self.tally.take(Tally {
                calls: 1,
                failed: u32::from(oldest & 1 != 0),
                slow: u32::from(oldest & 2 != 0),
            });
        }
        let bits = u64::from(failed) | u64::from(slow) << 1;
        *word = *word & !(3 << shift) | bits << shift;
        self.tally.add(failed, slow);
        self.next = if self.next + 1 == self.calls {
            0
        } else {
            self.next + 1
        };
        self.tally
    }
}

/// A span of time slides by a tenth of it.
const BUCKETS: u64 = 10;

/// The calls of the last `BUCKETS` tenths of the span, the running one included.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    buckets: [Tally; BUCKETS as usize],
    width: Nanos,
    /// the number of the running tenth, counted from the layer's beginning
    latest: u64,
    tally: Tally,
}

impl Buckets {
    fn new(time: Nanos) -> Self {
        Self {
            buckets: Default::default(),
            width: (time / BUCKETS).max(1),
            latest: 0,
            tally: Tally::default(),
        }
    }

    #[inline]
    fn record(&mut self, now: Nanos, failed: bool, slow: bool) -> Tally {
        // of two threads the later time may come first; then both count for it
        let number = (now / self.width).max(self.latest);
        for passed in 1..=(number - self.latest).min(BUCKETS) {
            let bucket = &mut self.buckets[((self.latest + passed) % BUCKETS) as usize];
            self.tally.take(std::mem::take(bucket));
        }
        self.latest = number;
        self.buckets[(number % BUCKETS) as usize].add(failed, slow);
        self.tally.add(failed, slow);
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    /// The least time of many rounds, so that a busy machine does not count.
    fn time_of(calls: u32) -> Duration {
        let mut recent = Recent::new(Span::Calls(calls));
        for _ in 0..calls {
            recent.record(0, true, false);
        }
        let round = |recent: &mut Recent| {
            let start = Instant::now();
            for _ in 0..1_000 {
                std::hint::black_box(recent.record(0, false, true));
            }
            start.elapsed()
        };
        (0..50)
            .map(|_| round(&mut recent))
            .min()
            .unwrap_or_default()
    }

    #[test]
    fn a_call_costs_the_same_however_long_the_window_is() {
        let (short, long) = (time_of(10), time_of(100_000));
        // one that looked at every call of the window would take thousands of times as long
        assert!(long < short * 50, "{short:?} {long:?}");
    }
}
