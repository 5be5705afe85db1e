//! What is left of a provider's own limits.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};

use super::{first, http_date, wish};
use crate::WallClock;

/// One of the provider's own limits, as an answer's head tells of it.
///
/// Read are OpenAI's `x-ratelimit-*-requests` and `-tokens`, which Azure, Groq and xAI have too, those of Cerebras,
/// `anthropic-ratelimit-*`, and the unnamed `x-ratelimit-*` and `ratelimit-*`. A limit whose remaining number can't be
/// read, or is negative, is not there; nor is one that is itself below one, as some servers send zero for
/// "unknown".
///
/// ```
/// use http::{HeaderMap, HeaderName};
/// use llm_exchange::{LimitOf, RateLimit, WallClock};
/// use std::time::Duration;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-ratelimit-limit-requests", "500".parse()?);
/// headers.insert("x-ratelimit-remaining-requests", "0".parse()?);
/// headers.insert("x-ratelimit-reset-requests", "1m0s".parse()?);
/// let limits: Vec<_> = RateLimit::read(&headers, &WallClock::default()).collect();
/// assert_eq!(limits[0].of, LimitOf::Requests);
/// assert_eq!((limits[0].limit, limits[0].remaining), (Some(500), 0));
/// assert_eq!(limits[0].full_in, Some(Duration::from_secs(60)));
/// # Ok::<_, http::header::InvalidHeaderValue>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Of what.
    pub of: LimitOf,
    /// All of it, if it says so.
    pub limit: Option<u64>,
    /// What is left, rounded down; Anthropic rounds tokens to thousands.
    pub remaining: u64,
    /// In which time it is whole again. Of requests and tokens, most providers add a little all the
    /// time, so that a call passes long before.
    pub full_in: Option<Duration>,
}

/// What a limit counts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitOf {
    /// Calls.
    Requests,
    /// Tokens, of the prompt, of the output or of both.
    Tokens,
    /// Whatever the server counts, anew from each reset on.
    Unnamed,
}

/// The headers of a limit: all of it, what is left, when it is whole again.
struct Names {
    of: LimitOf,
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

macro_rules! names {
    ($($of:ident: $limit:literal, $remaining:literal, $reset:literal;)*) => {
        [$(Names {
            of: LimitOf::$of,
            limit: HeaderName::from_static($limit),
            remaining: HeaderName::from_static($remaining),
            reset: HeaderName::from_static($reset),
        }),*]
    };
}

#[rustfmt::skip]
static ALL: [Names; 10] = names! {
    Requests: "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests";
    Tokens: "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens";
    Requests: "x-ratelimit-limit-requests-day", "x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day";
    Tokens: "x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute";
    Requests: "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset";
    Tokens: "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset";
    Tokens: "anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset";
    Tokens: "anthropic-ratelimit-output-tokens-limit", "anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset";
    Unnamed: "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset";
    Unnamed: "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset";
};

impl RateLimit {
    /// The limits of which an answer's head says how much is left, successful or not. Dates count from
    /// the answer's own `date`, or the clock's.
    pub fn read<'h>(
        headers: &'h HeaderMap,
        clock: &'h WallClock,
    ) -> impl Iterator<Item = Self> + 'h {
        let now = || first(headers, "date", http_date).unwrap_or_else(|| clock.now());
        ALL.iter().filter_map(move |names| names.read(headers, now))
    }
}

/// Those of which nothing is left.
pub(super) fn spent(
    headers: &HeaderMap,
    now: impl Fn() -> SystemTime + Copy,
) -> impl Iterator<Item = RateLimit> {
    let limits = ALL.iter().filter_map(move |names| names.read(headers, now));
    limits.filter(|limit| limit.remaining == 0)
}

impl Names {
    fn read(&self, headers: &HeaderMap, now: impl Fn() -> SystemTime + Copy) -> Option<RateLimit> {
        let number = |name| first(headers, name, wish::number);
        // a float's cast saturates
        let remaining = number(&self.remaining).filter(|left| *left >= 0.0)? as u64;
        let limit = number(&self.limit);
        if limit.is_some_and(|limit| limit < 1.0) {
            return None;
        }
        Some(RateLimit {
            of: self.of,
            limit: limit.map(|limit| limit as u64),
            remaining,
            full_in: first(headers, &self.reset, |text| wish::reset(text, now)),
        })
    }
}
