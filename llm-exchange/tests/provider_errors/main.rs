//! What error bodies and error events say, and what is made of it.

#[path = "../common/transcripts.rs"]
mod transcripts;

mod read;
mod verdicts;

use http::StatusCode;
use llm_exchange::{Hints, ProviderError, Verdict};

pub(crate) fn error(body: &str) -> ProviderError {
    ProviderError::from_body(body.as_bytes()).unwrap_or_else(|| panic!("no error in {body}"))
}

pub(crate) fn code(body: &str) -> Option<String> {
    error(body).code().map(str::to_owned)
}

pub(crate) fn verdict(status: u16, body: &str) -> Verdict {
    let status = StatusCode::from_u16(status).expect("a status");
    Verdict::of(status, ProviderError::from_body(body.as_bytes()).as_ref())
}

pub(crate) fn bare(status: u16) -> Verdict {
    Verdict::of(StatusCode::from_u16(status).expect("a status"), None)
}

pub(crate) fn may_be_sent_again(verdict: Verdict, hints: &Hints) -> bool {
    use Verdict::{Failed, Overloaded, Throttled, TimedOut};
    matches!(verdict, Throttled | Overloaded | Failed | TimedOut)
        && hints.should_retry() != Some(false)
}
