//! How servers write a length of time: numbers, Go and protobuf durations, dates.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// The longest time that is told apart. More than any cap, and small enough that adding it to an
/// `Instant` or a `SystemTime` overflows on no platform.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Below this a bare number on a reset header is a length, above it a date in epoch seconds.
const THIRTY_DAYS: f64 = 30.0 * 86_400.0;

/// Above this a date is in epoch milliseconds (in seconds it would lie 30,000 years ahead).
const EPOCH_MILLIS: f64 = 1e12;

/// A decimal number: sign, digits, fraction, exponent; never the words `inf` and `nan`, which `f64`
/// accepts. One that is too big to hold is infinite.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-' | b'e' | b'E');
    text.bytes().all(plain).then(|| text.parse().ok())?
}

/// `seconds` as a duration that is never shorter; `None` for zero and less.
pub(super) fn seconds(seconds: f64) -> Option<Duration> {
    if seconds <= 0.0 {
        return None;
    }
    let nearest = Duration::try_from_secs_f64(seconds)
        .unwrap_or(LONGEST)
        .min(LONGEST);
    // The nearest nanosecond may lie below what was asked. (`as_secs_f64` rounds twice, and would
    // call 1.82 s short of 1.82.)
    let short = nearest < LONGEST && nearest.as_nanos() as f64 / 1e9 < seconds;
    Some(if short {
        nearest + Duration::from_nanos(1)
    } else {
        nearest
    })
}

/// The time from `now` until `then`; `None` for a date that is not ahead.
pub(super) fn until(then: SystemTime, now: SystemTime) -> Option<Duration> {
    let ahead = then.duration_since(now).ok()?.min(LONGEST);
    (!ahead.is_zero()).then_some(ahead)
}

/// Go's and protobuf's way: `1h2m3s`, `6m0s`, `2m59.56s`, `12ms`, `46.281839s`. `None`: not of this
/// form, a sign anywhere, or zero.
pub(crate) fn spelled(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (amount, tail) = rest.split_at(digits);
        let amount: f64 = amount.parse().ok()?;
        let units = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(units);
        let part = match unit {
            "h" => amount * 3600.0,
            "m" => amount * 60.0,
            "s" => amount,
            "ms" => amount / 1e3,
            "us" => amount / 1e6,
            "ns" => amount / 1e9,
            _ => return None,
        };
        sum = sum
            .saturating_add(seconds(part).unwrap_or_default())
            .min(LONGEST);
        rest = tail;
    }
    (!sum.is_zero()).then_some(sum)
}

/// A reset header in any of its forms: a Go duration, a number (a length in seconds, or a date in
/// epoch seconds or milliseconds, told apart by its size), an RFC 3339 date.
pub(super) fn reset(text: &str, now: impl Fn() -> SystemTime) -> Option<Duration> {
    let date = |epoch: f64| {
        let since = Duration::try_from_secs_f64(epoch).ok();
        match since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)) {
            Some(then) => until(then, now()),
            None => Some(LONGEST),
        }
    };
    match number(text) {
        Some(n) if n < THIRTY_DAYS => seconds(n),
        Some(n) if n <= EPOCH_MILLIS => date(n),
        Some(n) => date(n / 1e3),
        None => spelled(text).or_else(|| {
            let date: Timestamp = text.parse().ok()?;
            until(SystemTime::try_from(date).ok()?, now())
        }),
    }
}
