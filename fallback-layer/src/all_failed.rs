//! The answer when no target served a call.

use http::StatusCode;
use llm_exchange::{ErrorAnswer, Verdict};
use tokio::time::Instant;

use crate::{Left, Skipped, Why};

/// What the caller is told: each target and why, the status that helps most, and when the first
/// of them wants to be asked again.
pub(crate) fn answer(left: &[Left], asked_until: Option<Instant>, now: Instant) -> ErrorAnswer {
    let (status, code) = most_useful(left);
    let each: Vec<String> = left.iter().map(ToString::to_string).collect();
    let message = format!("no target served the call: {}", each.join("; "));
    let answer = ErrorAnswer::new(status, code, message);
    match asked_until {
        // what was asked for is over: come back at once
        Some(until) => answer.retry_after(until.saturating_duration_since(now)),
        None => answer,
    }
}

/// The status and code of the target that is most likely to serve the call if it is sent again;
/// where that won't help, of the one whose reason the caller can do most about.
fn most_useful(left: &[Left]) -> (StatusCode, &'static str) {
    let best = left.iter().min_by_key(|left| rank(left.why));
    let Some(best) = best else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no_target");
    };
    match best.why {
        Why::Skipped(why) => of_skipped(why),
        Why::Outrun => of_verdict(Verdict::TimedOut),
        // the caller can do nothing about a key or a model of the app's
        Why::Outcome(Verdict::CallersFault) => of_verdict(Verdict::Failed),
        Why::Outcome(verdict) => {
            let (usual, code) = of_verdict(verdict);
            let failed = |status: &StatusCode| status.is_client_error() || status.is_server_error();
            (best.status.filter(failed).unwrap_or(usual), code)
        }
    }
}

/// What passes by itself comes first.
const fn rank(why: Why) -> u8 {
    match why {
        Why::Outcome(Verdict::Throttled) => 0,
        Why::Outcome(Verdict::Overloaded) => 1,
        Why::Outcome(Verdict::TimedOut) => 2,
        Why::Outcome(Verdict::Refused) => 3,
        Why::Outcome(Verdict::Failed) => 4,
        Why::Outcome(Verdict::QuotaExhausted) => 5,
        Why::Outcome(Verdict::PromptTooLong) | Why::Skipped(Skipped::ContextWindow) => 6,
        Why::Outcome(Verdict::Filtered) => 7,
        Why::Skipped(Skipped::TooExpensive | Skipped::UnknownPrice) => 8,
        // an app's own doing: its key, its model, its settings
        _ => 9,
    }
}

const fn of_verdict(verdict: Verdict) -> (StatusCode, &'static str) {
    match verdict {
        Verdict::Throttled => (StatusCode::TOO_MANY_REQUESTS, "all_targets_failed"),
        Verdict::Overloaded | Verdict::Refused => {
            (StatusCode::SERVICE_UNAVAILABLE, "all_targets_failed")
        }
        Verdict::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "all_targets_failed"),
        Verdict::QuotaExhausted => (StatusCode::TOO_MANY_REQUESTS, "insufficient_quota"),
        Verdict::PromptTooLong => (StatusCode::BAD_REQUEST, "context_length_exceeded"),
        Verdict::Filtered => (StatusCode::BAD_REQUEST, "content_filter"),
        _ => (StatusCode::BAD_GATEWAY, "all_targets_failed"),
    }
}

const fn of_skipped(why: Skipped) -> (StatusCode, &'static str) {
    match why {
        Skipped::ContextWindow => (StatusCode::BAD_REQUEST, "context_length_exceeded"),
        Skipped::TooExpensive => (StatusCode::BAD_REQUEST, "max_cost_exceeded"),
        Skipped::UnknownPrice => (StatusCode::BAD_REQUEST, "price_unknown"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "no_target"),
    }
}
