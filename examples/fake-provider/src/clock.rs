//! Times as headers write them.

use std::time::{Duration, SystemTime};

#[expect(
    clippy::disallowed_methods,
    reason = "dates of headers, nothing is timed by it"
)]
fn from_now(seconds: i64) -> SystemTime {
    let now = SystemTime::now();
    // Half a century either way is all that an HTTP date is asked for here.
    let by = Duration::from_secs(seconds.unsigned_abs().min(50 * 366 * 86_400));
    if seconds < 0 {
        now.checked_sub(by)
    } else {
        now.checked_add(by)
    }
    .unwrap_or(now)
}

pub(crate) fn http_date(seconds: i64) -> String {
    httpdate::fmt_http_date(from_now(seconds))
}

pub(crate) fn rfc3339(seconds: i64) -> String {
    let whole = from_now(seconds)
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0));
    jiff::Timestamp::from_second(whole)
        .unwrap_or_default()
        .to_string()
}

/// Go's `Duration.String`, as far as OpenAI's reset headers use it, to the millisecond.
pub(crate) fn go_duration(time: Duration) -> String {
    let ms = time.as_millis();
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let fraction = format!("{:03}", rest % 1000);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    let seconds = format!("{}{dot}{fraction}s", rest / 1000);
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, m) => format!("{m}m{seconds}"),
        (h, m) => format!("{h}h{m}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_openai_writes_them() {
        let written = |ms| go_duration(Duration::from_millis(ms));
        assert_eq!(written(12), "12ms");
        assert_eq!(written(1000), "1s");
        assert_eq!(written(7660), "7.66s");
        assert_eq!(written(360_000), "6m0s");
        assert_eq!(written(3_723_000), "1h2m3s");
    }

    #[test]
    fn dates_absurdly_far_away_do_not_panic() {
        for seconds in [i64::MIN, i64::MAX, -1, 0] {
            assert!(http_date(seconds).ends_with("GMT"));
            assert!(rfc3339(seconds).ends_with('Z'));
        }
    }
}
