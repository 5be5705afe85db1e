//! The words in which ledgers and exports write what is not a number.

use llm_exchange::{Cut, End, FromCache, Verdict};

const VERDICTS: [Verdict; 12] = [
    Verdict::Ok,
    Verdict::Throttled,
    Verdict::QuotaExhausted,
    Verdict::Overloaded,
    Verdict::Failed,
    Verdict::TimedOut,
    Verdict::PromptTooLong,
    Verdict::Filtered,
    Verdict::CallersFault,
    Verdict::CallerGone,
    Verdict::Outrun,
    Verdict::Refused,
];

const ENDS: [(&str, End); 10] = [
    ("complete", End::Complete),
    ("truncated", End::Truncated),
    ("errored", End::Errored),
    ("broken", End::Broken),
    ("timed_out", End::TimedOut),
    ("cut_by_limit", End::Cut(Cut::Limit)),
    ("cut_by_clock", End::Cut(Cut::Clock)),
    ("outrun", End::Cut(Cut::Outrun)),
    ("dropped", End::Dropped),
    ("unreadable", End::Unreadable),
];

/// A verdict as it is written; one that a later version wrote is a failure.
pub(crate) fn verdict(name: &str) -> Verdict {
    let known = VERDICTS.iter().find(|verdict| verdict.as_str() == name);
    known.copied().unwrap_or(Verdict::Failed)
}

pub(crate) fn end_name(end: End) -> &'static str {
    let known = ENDS.iter().find(|(_, known)| *known == end);
    known.map_or("other", |(name, _)| name)
}

pub(crate) fn end(name: &str) -> Option<End> {
    let known = ENDS.iter().find(|(known, _)| *known == name);
    known.map(|(_, end)| *end)
}

pub(crate) fn from_cache_name(from: FromCache) -> &'static str {
    match from {
        FromCache::Hit => "hit",
        _ => "shared",
    }
}

pub(crate) fn from_cache(name: &str) -> Option<FromCache> {
    match name {
        "hit" => Some(FromCache::Hit),
        "shared" => Some(FromCache::Shared),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_was_outrun_is_read_back_as_that() {
        assert_eq!(verdict(Verdict::Outrun.as_str()), Verdict::Outrun);
        let outrun = End::Cut(Cut::Outrun);
        assert_eq!(end(end_name(outrun)), Some(outrun));
    }
}
