use std::cell::LazyCell;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::AsHeaderName};

use crate::WallClock;

pub(crate) mod limits;
pub(crate) mod wish;

/// What an answer's headers say about sending the call again: how long to wait, and whether to.
///
/// Formats that servers use are all read; what can't be read is as if it weren't there, so a hint
/// is never an error. Zero, negative numbers, dates in the past and words (`NaN`, `inf`) are no
/// hint either. A number too big to hold (`1e400`) or a date ages ahead is a hint of about 100
/// years: surely over the caller's cap, and still safe to add to an `Instant`. Of a repeated header
/// the first readable value counts.
///
/// Reset headers stand on successful answers too: whoever asks for the [`delay`](Self::delay) of an
/// answer has decided before that it is one to wait for.
///
/// ```
/// use http::{HeaderMap, header::AsHeaderName};
/// use llm_exchange::{Delay, Hints, WallClock};
/// use std::time::Duration;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after", "2".parse()?);
/// headers.insert("retry-after-ms", "1820".parse()?);
/// let hints = Hints::read(&headers, &WallClock::default());
/// assert_eq!(hints.delay(), Some(Delay::Asked(Duration::from_millis(1820))));
/// assert_eq!(hints.should_retry(), None);
/// # Ok::<_, http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    should_retry: Option<bool>,
    // One field a rank, so that what the body says can still be put in its place.
    pushback: Option<Duration>,
    retry_after: Option<Duration>,
    retry_info: Option<Duration>,
    reset: Option<Duration>,
}

/// How long a server wants to be left alone.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// The server asked for this wait: the call is not sent again sooner.
    Asked(Duration),
    /// Only the reset of an exhausted limit is known. That is when the limit is **full** again,
    /// often long after a call would pass: an upper bound for a backoff, never a reason to wait so
    /// long.
    AtMost(Duration),
}

impl Hints {
    /// Reads the head of an answer.
    ///
    /// Dates count from the answer's own `date` header, which a skewed local clock does not
    /// disturb; `clock` is asked only when a date stands without one.
    pub fn read(headers: &HeaderMap, clock: &WallClock) -> Hints {
        let now =
            LazyCell::new(|| first(headers, "date", http_date).unwrap_or_else(|| clock.now()));
        let pushback = Pushback::read(headers);
        let should_retry = match pushback {
            Pushback::Never => Some(false),
            _ => first(headers, "x-should-retry", |text| match text {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            }),
        };
        let millis = |text: &str| wish::seconds(wish::number(text)? / 1e3);
        let secs_or_date = |text: &str| match wish::number(text) {
            Some(secs) => wish::seconds(secs),
            None => wish::until(http_date(text)?, *now),
        };
        let retry_after = first(headers, "retry-after-ms", millis)
            .or_else(|| first(headers, "x-ms-retry-after-ms", millis))
            .or_else(|| first(headers, "retry-after", secs_or_date));
        let reset = limits::spent(headers, || *now)
            .filter_map(|limit| limit.full_in)
            .max();
        Hints {
            should_retry,
            pushback: pushback.after(),
            retry_after,
            retry_info: None,
            reset,
        }
    }

    /// The best wish the answer states, in the order of trust: `grpc-retry-pushback-ms`,
    /// `retry-after-ms` and `x-ms-retry-after-ms`, `retry-after`, RetryInfo in the body, all
    /// [`Asked`](Delay::Asked); then the longest reset of a limit of which nothing remains,
    /// [`AtMost`](Delay::AtMost).
    pub fn delay(&self) -> Option<Delay> {
        let asked = self.pushback.or(self.retry_after).or(self.retry_info);
        asked.map(Delay::Asked).or(self.reset.map(Delay::AtMost))
    }

    /// What the server itself says about sending the same call again: `x-should-retry`, exactly
    /// `true` or `false`. A negative or unreadable `grpc-retry-pushback-ms` is `Some(false)` and
    /// outranks it.
    pub fn should_retry(&self) -> Option<bool> {
        self.should_retry
    }

    /// Adds the wait that the body's RetryInfo asks for
    /// ([`ProviderError::retry_info`](crate::ProviderError::retry_info)), at its rank. `None`
    /// and zero change nothing.
    pub fn or_retry_info(mut self, wait: Option<Duration>) -> Hints {
        let wait = wait
            .filter(|wait| !wait.is_zero())
            .map(|wait| wait.min(wish::LONGEST));
        self.retry_info = wait.or(self.retry_info);
        self
    }
}

/// gRPC's own word on retries (proposal A6): a signed 32-bit number of milliseconds.
enum Pushback {
    Absent,
    After(Duration),
    Never,
}

impl Pushback {
    fn read(headers: &HeaderMap) -> Pushback {
        const NAME: &str = "grpc-retry-pushback-ms";
        if !headers.contains_key(NAME) {
            return Pushback::Absent;
        }
        match first(headers, NAME, |text| text.parse::<i32>().ok()).map(u64::try_from) {
            Some(Ok(millis)) => Pushback::After(Duration::from_millis(millis)),
            _ => Pushback::Never,
        }
    }

    fn after(&self) -> Option<Duration> {
        match self {
            Pushback::After(wait) => Some(*wait),
            _ => None,
        }
    }
}

/// The first value of a header that `read` accepts; values that are not ASCII are passed over.
fn first<T>(
    headers: &HeaderMap,
    name: impl AsHeaderName,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let texts = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    texts.map(str::trim).find_map(read)
}

/// Any of the three forms of RFC 9110 5.6.7.
fn http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}
