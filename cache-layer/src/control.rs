//! What a caller asks of the cache, by `cache-control`.

use std::time::Duration;

use http::{HeaderMap, header};

/// The directives of a request's `cache-control`, as HTTP caches obey them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Control {
    /// Neither answer from the cache nor keep the answer.
    pub(crate) no_store: bool,
    /// Do not answer from the cache; keep the new answer.
    pub(crate) no_cache: bool,
    /// Only from the cache.
    pub(crate) only_if_cached: bool,
    /// An answer of at most this age; the caller wants this call cached.
    pub(crate) max_age: Option<Duration>,
}

impl Control {
    /// Directives that are not known are passed over, and so is a `max-age` that is no number. Of
    /// several the strictest counts.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let lines = headers.get_all(header::CACHE_CONTROL).iter();
        for directive in lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
            let directive = directive.trim_ascii();
            let (name, value) = match directive.iter().position(|byte| *byte == b'=') {
                Some(at) => (&directive[..at], &directive[at + 1..]),
                None => (directive, &b""[..]),
            };
            let is = |known: &str| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes());
            control.no_store |= is("no-store");
            control.no_cache |= is("no-cache");
            control.only_if_cached |= is("only-if-cached");
            if is("max-age")
                && let Some(age) = seconds(value)
            {
                control.max_age = Some(control.max_age.map_or(age, |other| other.min(age)));
            }
        }
        control
    }
}

/// Whole seconds, with or without quotes. More than fits is as long as can be.
fn seconds(value: &[u8]) -> Option<Duration> {
    let value = value.trim_ascii();
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let value = value.strip_suffix(b"\"").unwrap_or(value);
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Control {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::CACHE_CONTROL, line.parse().unwrap());
        }
        Control::read(&headers)
    }

    #[test]
    fn the_directives_of_http_are_read_wherever_they_stand() {
        assert_eq!(read(&[]), Control::default());
        assert_eq!(read(&["foo, bar=1,,"]), Control::default());
        assert!(read(&["No-Store"]).no_store);
        assert!(read(&["public", "max-age=0, no-cache"]).no_cache);
        assert!(read(&[" only-if-cached "]).only_if_cached);
        assert!(!read(&["no-storeroom"]).no_store);
    }

    #[test]
    fn of_several_ages_the_strictest_counts_and_one_that_is_no_number_is_none() {
        let age = |lines: &[&str]| read(lines).max_age.map(|age| age.as_secs());
        assert_eq!(age(&["max-age=60"]), Some(60));
        assert_eq!(age(&["max-age=60", "max-age = \"5\""]), Some(5));
        assert_eq!(age(&["max-age=99999999999999999999999"]), Some(u64::MAX));
        for none in [
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1.5",
            "max-age=x",
        ] {
            assert_eq!(age(&[none]), None, "{none}");
        }
    }
}
