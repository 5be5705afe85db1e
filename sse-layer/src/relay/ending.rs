//! What a stream ends with.

use bytes::Bytes;
use http::StatusCode;
use llm_exchange::{
    BoxError, Classify, Cut, End, ErrorAnswer, Meter, Standard, Verdict, sse::Event,
};
use serde::Serialize;

use super::caller::Caller;

/// What the caller is told of a stream that is over. `None`: it was told already.
pub(super) fn of(meter: &Meter, error: Option<&BoxError>) -> Option<ErrorAnswer> {
    let Some(error) = error else {
        return (meter.end() == Some(End::Truncated)).then(truncated);
    };
    // what breaks after the last word is nobody's loss
    (!meter.is_complete()).then(|| broken(error))
}

fn truncated() -> ErrorAnswer {
    let message = "the provider's stream ended before its answer was complete";
    ErrorAnswer::new(StatusCode::BAD_GATEWAY, "stream_truncated", message)
}

fn broken(error: &BoxError) -> ErrorAnswer {
    match Standard.error(error) {
        Verdict::TimedOut => ErrorAnswer::new(
            StatusCode::GATEWAY_TIMEOUT,
            "stream_timeout",
            "the provider's stream took too long",
        ),
        _ => ErrorAnswer::new(
            StatusCode::BAD_GATEWAY,
            "stream_broken",
            "the provider's stream broke",
        ),
    }
}

/// The last event, for who wants to know.
pub(super) fn summary(caller: &Caller, meter: &Meter) -> Bytes {
    #[derive(Serialize)]
    struct Summary {
        duration_ms: u128,
        first_content_ms: Option<u128>,
        input_tokens: u64,
        output_tokens: u64,
        estimated: bool,
        end: &'static str,
    }

    let first = meter.first_content();
    let first = first.map(|first| first.saturating_duration_since(caller.began).as_millis());
    let tokens = meter.tokens();
    let summary = Summary {
        duration_ms: caller.began.elapsed().as_millis(),
        first_content_ms: first,
        input_tokens: tokens.input,
        output_tokens: tokens.output,
        estimated: tokens.is_estimated(),
        end: end(meter),
    };
    // numbers and short words always serialise
    let json = serde_json::to_vec(&summary).unwrap_or_default();
    Event::named("llm.summary", json).raw().clone()
}

pub(super) fn end(meter: &Meter) -> &'static str {
    match meter.end() {
        Some(End::Complete) => "complete",
        Some(End::Truncated) => "truncated",
        Some(End::Errored) => "error",
        Some(End::Broken) => "broken",
        Some(End::TimedOut | End::Cut(Cut::Clock)) => "timed_out",
        Some(End::Cut(Cut::Limit)) => "limit",
        Some(End::Cut(Cut::Repeating)) => "repeating",
        Some(End::Dropped) => "dropped",
        Some(_) | None => "unknown",
    }
}
