//! What callers are told in headers of answers.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{OverBudget, budget::Kept, store::Standing};

/// What each limit has left, this call's reservation taken off: `user-day-tokens=187000`.
pub(crate) const REMAINING: HeaderName = HeaderName::from_static("x-llm-budget-remaining");
/// Limits that are nearly used up: `user-day-tokens=93%`.
pub(crate) const WARNING: HeaderName = HeaderName::from_static("x-llm-budget-warning");
/// Of a refusal: the limit's name, how much there is, and what was used of it.
const EXCEEDED: HeaderName = HeaderName::from_static("x-llm-budget-exceeded");
const LIMIT: HeaderName = HeaderName::from_static("x-llm-budget-limit");
const USED: HeaderName = HeaderName::from_static("x-llm-budget-used");

/// How limits stand, as a header. Names that no header can carry are left out.
pub(crate) fn remaining<'a>(
    standings: impl IntoIterator<Item = (&'a Kept, Standing)>,
) -> Option<HeaderValue> {
    let mut text = String::new();
    for (kept, standing) in standings {
        if !kept.enforced {
            continue;
        }
        let separator = if text.is_empty() { "" } else { ", " };
        let left = kept.unit.amount(standing.remaining());
        let _ = write!(text, "{separator}{}={left}", kept.name);
    }
    value(text)
}

/// The limits that warn, with the share of them that is taken.
pub(crate) fn warning<'a>(over: impl IntoIterator<Item = (&'a Kept, u64)>) -> Option<HeaderValue> {
    let mut text = String::new();
    for (kept, percent) in over {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{}={percent}%", kept.name);
    }
    value(text)
}

fn value(text: String) -> Option<HeaderValue> {
    HeaderValue::try_from(text)
        .ok()
        .filter(|value| !value.is_empty())
}

/// The numbers of a refusal.
pub(crate) fn over(headers: &mut HeaderMap, over: &OverBudget) {
    let numbers = [
        (EXCEEDED, over.limit.to_string()),
        (LIMIT, over.amount.to_string()),
        (USED, over.used.to_string()),
    ];
    for (name, text) in numbers {
        if let Some(value) = value(text) {
            headers.insert(name, value);
        }
    }
}
