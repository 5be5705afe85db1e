//! The decision whether a call is sent again, and when.

use std::time::Duration;

use llm_exchange::{Delay, Hints, Verdict};

use crate::Backoff;

/// Why a call was not sent again though its answer was no success.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GaveUp {
    /// Sending it again would not help: the caller's own fault, a used-up quota, a refusal of
    /// another layer, or the provider said so (`x-should-retry: false`).
    NotRetryable,
    /// All retries were used.
    Exhausted,
    /// The provider asked for a longer delay than the layer waits.
    DelayTooLong(Duration),
    /// The wait would have run past the call's deadline.
    Deadline,
    /// Too many of the recent calls were retried already.
    Budget,
    /// The app stopped all retrying: [`RetryHandle::stop_retrying`](crate::RetryHandle::stop_retrying).
    Stopped,
}

impl GaveUp {
    /// A short name for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRetryable => "not_retryable",
            Self::Exhausted => "exhausted",
            Self::DelayTooLong(_) => "delay_too_long",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::Stopped => "stopped",
        }
    }
}

/// The numbers of a layer that decide.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) backoff: Backoff,
    pub(crate) max_retries: u32,
    pub(crate) by_verdict: Vec<(Verdict, u32)>,
    pub(crate) max_hint: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            backoff: Backoff::new(),
            max_retries: 5,
            by_verdict: Vec::new(),
            max_hint: Duration::from_secs(60),
        }
    }
}

impl Policy {
    /// The most retries that any outcome can have.
    pub(crate) fn most_retries(&self) -> u32 {
        self.by_verdict
            .iter()
            .map(|(_, most)| *most)
            .fold(self.max_retries, u32::max)
    }

    /// How long to wait before the call is sent again.
    ///
    /// `retries` were made so far, `left` is the time to the call's deadline, `random` a number
    /// within 0 and 1.
    pub(crate) fn decide(
        &self,
        verdict: Verdict,
        hints: &Hints,
        retries: u32,
        left: Option<Duration>,
        random: f64,
    ) -> Result<Duration, GaveUp> {
        let most = self.most_after(verdict, hints.should_retry());
        if most == 0 {
            // with no retries configured at all, a retryable outcome was merely not retried
            let retryable = self.max_retries == 0 && is_retryable(verdict);
            return Err(if retryable {
                GaveUp::Exhausted
            } else {
                GaveUp::NotRetryable
            });
        }
        if retries >= most {
            return Err(GaveUp::Exhausted);
        }
        let wait = match hints.delay() {
            Some(Delay::Asked(delay)) if delay > self.max_hint => {
                return Err(GaveUp::DelayTooLong(delay));
            }
            Some(Delay::Asked(delay)) => self.backoff.asked(delay, random),
            Some(Delay::AtMost(delay)) if delay <= self.max_hint => {
                self.backoff.at_most(delay, random)
            }
            _ => self.backoff.delay(retries + 1, random),
        };
        if left.is_some_and(|left| wait >= left) {
            return Err(GaveUp::Deadline);
        }
        Ok(wait)
    }

    fn most_after(&self, verdict: Verdict, asked: Option<bool>) -> u32 {
        // nobody is there to retry for, or a layer further in refused: no header changes that
        if matches!(
            verdict,
            Verdict::Ok | Verdict::CallerGone | Verdict::Refused
        ) {
            return 0;
        }
        let set = self
            .by_verdict
            .iter()
            .find(|(of, _)| *of == verdict)
            .map(|(_, most)| *most);
        match asked {
            Some(false) => 0,
            Some(true) => set.unwrap_or(self.max_retries),
            None if is_retryable(verdict) => set.unwrap_or(self.max_retries),
            None => set.unwrap_or(0),
        }
    }
}

const fn is_retryable(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Throttled | Verdict::Overloaded | Verdict::Failed | Verdict::TimedOut
    )
}
