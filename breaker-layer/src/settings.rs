//! What a layer is told, checked where it is told.

use std::{fmt, sync::Arc, time::Duration};

use http::Request;
use llm_exchange::{Payload, PeekLimits, Verdict, WallClock};

use crate::rules::{LastResort, Nanos, Rules, Span};

/// A number that no breaker can work with. The message says which and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidBreaker(pub(crate) &'static str);

impl fmt::Display for InvalidBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidBreaker {}

/// The recent calls that the rates are taken over: the last 100 unless told otherwise, and no rate is
/// taken of fewer than 20.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub(crate) span: Span,
    pub(crate) min_calls: u32,
}

impl Window {
    /// The longest window of calls.
    pub const MAX_CALLS: u32 = 100_000;

    /// The last `calls` calls, two bits of memory each and key, and the same time for each call
    /// however many they are.
    ///
    /// # Errors
    ///
    /// Zero, or more than [`MAX_CALLS`](Self::MAX_CALLS).
    pub const fn calls(calls: u32) -> Result<Self, InvalidBreaker> {
        if calls == 0 || calls > Self::MAX_CALLS {
            return Err(InvalidBreaker("a window has 1 to 100,000 calls"));
        }
        Ok(Self {
            span: Span::Calls(calls),
            min_calls: if calls < 20 { calls } else { 20 },
        })
    }

    /// The calls of the last `time`, which slides by a tenth of it: between nine and ten tenths are
    /// seen.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn time(time: Duration) -> Result<Self, InvalidBreaker> {
        if time.is_zero() {
            return Err(InvalidBreaker("a window is longer than no time"));
        }
        Ok(Self {
            span: Span::Time(nanos(time)),
            min_calls: 20,
        })
    }

    /// A rate of fewer calls than this says nothing. Default 20, or all calls of a shorter window.
    ///
    /// # Errors
    ///
    /// Zero, or more calls than the window has.
    pub const fn at_least(mut self, calls: u32) -> Result<Self, InvalidBreaker> {
        if calls == 0 {
            return Err(InvalidBreaker("no rate is taken of no call"));
        }
        if let Span::Calls(most) = self.span
            && calls > most
        {
            return Err(InvalidBreaker(
                "the window has fewer calls than a rate is taken of",
            ));
        }
        self.min_calls = calls;
        Ok(self)
    }
}

/// Which calls are slow, and how many of them are too many.
///
/// A call is slow when its first content (text, reasoning, a tool call) came later than the limit; also
/// when its caller gave up on it or it failed, and the limit had passed by then without content.
#[derive(Clone, Copy, Debug)]
pub struct SlowCalls {
    pub(crate) limit: Duration,
    pub(crate) unstreamed: Duration,
    pub(crate) percent: u32,
}

impl SlowCalls {
    /// Calls whose first content takes longer than this are slow; half of the window's calls are too
    /// many.
    #[must_use]
    pub const fn over(limit: Duration) -> Self {
        Self {
            limit,
            unstreamed: limit,
            percent: 50,
        }
    }

    /// Another limit for calls that do not ask for a stream: their content comes when all of it is
    /// generated. Default: the same.
    #[must_use]
    pub const fn unstreamed_over(mut self, limit: Duration) -> Self {
        self.unstreamed = limit;
        self
    }

    /// So many slow calls in a hundred open the circuit. Default 50.
    ///
    /// # Errors
    ///
    /// Not within 1 to 100.
    pub const fn percent(mut self, percent: u32) -> Result<Self, InvalidBreaker> {
        match checked_percent(percent) {
            Ok(percent) => self.percent = percent,
            Err(error) => return Err(error),
        }
        Ok(self)
    }
}

/// What an outcome counts as.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counts {
    /// The provider is well.
    Success,
    /// The provider is not.
    Failure,
    /// It says nothing about the provider's health. A probe that ends so gives its slot back.
    Neither,
    /// The provider is well, but calls with this credential are of no use: they alone are refused.
    AgainstCredential,
}

/// What counts as what.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountTable(Vec<(Verdict, Counts)>);

impl CountTable {
    pub(crate) fn set(&mut self, verdict: Verdict, counts: Counts) {
        self.0.retain(|(of, _)| *of != verdict);
        self.0.push((verdict, counts));
    }

    pub(crate) fn of(&self, verdict: Verdict) -> Counts {
        let set = self.0.iter().find(|(of, _)| *of == verdict);
        set.map_or_else(|| by_default(verdict), |(_, counts)| *counts)
    }
}

const fn by_default(verdict: Verdict) -> Counts {
    match verdict {
        Verdict::Ok => Counts::Success,
        Verdict::Overloaded | Verdict::Failed | Verdict::TimedOut => Counts::Failure,
        Verdict::QuotaExhausted => Counts::AgainstCredential,
        // of the rate, of the request, of the caller
        _ => Counts::Neither,
    }
}

/// When calls wait for a probe's slot instead of being refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) at_most: Duration,
    pub(crate) waiters: usize,
}

pub(crate) type KeyFn = Arc<dyn Fn(&Request<Payload>) -> Box<str> + Send + Sync>;

/// All of it.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) rules: Rules,
    pub(crate) slow: Option<SlowCalls>,
    pub(crate) counts: CountTable,
    pub(crate) at_first_content: bool,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) last_resort: Option<LastResort>,
    pub(crate) key: Option<KeyFn>,
    pub(crate) max_keys: usize,
    pub(crate) max_payload_bytes: usize,
    pub(crate) peek: PeekLimits,
    pub(crate) clock: WallClock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            slow: None,
            counts: CountTable::default(),
            at_first_content: false,
            waiting: None,
            last_resort: None,
            key: None,
            max_keys: 1024,
            max_payload_bytes: Payload::DEFAULT_MAX_BYTES,
            peek: PeekLimits::default(),
            clock: WallClock::default(),
        }
    }
}

impl Settings {
    /// The rules of a credential that has nothing left to spend: the provider's word is final at once,
    /// and one success shows that it has something again.
    pub(crate) fn credential_rules(&self) -> Rules {
        Rules {
            in_a_row: Some(1),
            failure_percent: None,
            slow_percent: None,
            successes: 1,
            ..self.rules
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("rules", &self.rules)
            .field("slow", &self.slow)
            .field("counts", &self.counts)
            .field("at_first_content", &self.at_first_content)
            .field("waiting", &self.waiting)
            .field("last_resort", &self.last_resort)
            .field("own_key", &self.key.is_some())
            .field("max_keys", &self.max_keys)
            .finish_non_exhaustive()
    }
}

pub(crate) const fn checked(count: u32, why: &'static str) -> Result<u32, InvalidBreaker> {
    if count == 0 {
        return Err(InvalidBreaker(why));
    }
    Ok(count)
}

pub(crate) const fn checked_percent(percent: u32) -> Result<u32, InvalidBreaker> {
    if percent == 0 || percent > 100 {
        return Err(InvalidBreaker("a share is of 1 to 100 percent"));
    }
    Ok(percent)
}

/// A span of more than 500 years is as good as one of 500.
pub(crate) fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}
