//! The status of a gRPC call, as `61-grpc-resource-exhausted.http2.txt` has it.

#[path = "common/transcripts.rs"]
mod transcripts;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use llm_exchange::{Delay, Hints, ProviderError, Verdict};
use proptest::prelude::*;
use transcripts::{bytes, clock, expected};

const FILE: &str = "61-grpc-resource-exhausted.http2.txt";

/// The trailers of the calls in the file: a comment begins each, and the second is one more form of
/// the first call's details.
fn calls() -> Vec<HeaderMap> {
    let text = String::from_utf8(bytes(FILE)).expect("UTF-8");
    let mut calls = Vec::new();
    for block in text.split('#').filter(|block| !block.trim().is_empty()) {
        let mut trailers = HeaderMap::new();
        for line in block.lines().skip(1).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("a trailer");
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            trailers.insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        calls.push(trailers);
    }
    let padded = calls.remove(1);
    let mut first = calls[0].clone();
    first.extend(padded);
    calls.push(first);
    calls
}

#[test]
fn status_delay_and_message_are_read() {
    let calls = calls();
    let expected = expected(FILE);
    let expected = expected["calls"].as_array().expect("calls");
    // the padded form says what the first says
    let expected = expected.iter().chain(&expected[..1]);
    for (trailers, expected) in calls.iter().zip(expected) {
        let error = ProviderError::from_grpc(trailers).expect("an error");
        let hints = Hints::read(trailers, &clock()).or_retry_info(error.retry_info());
        let verdict = Verdict::of(StatusCode::OK, Some(&error));
        let retryable = matches!(verdict, Verdict::Throttled | Verdict::Overloaded)
            && hints.should_retry() != Some(false);
        assert_eq!(retryable, expected["retryable"], "{error:?}");
        let delay = expected["delay_ms"].as_u64().map(Duration::from_millis);
        assert_eq!(hints.delay(), delay.map(Delay::Asked), "{error:?}");
    }
    let error = ProviderError::from_grpc(&calls[0]).expect("an error");
    assert_eq!(error.code(), Some("RESOURCE_EXHAUSTED"));
    assert_eq!(error.message(), Some("Quota exceeded"));
}

fn with_status(status: &str) -> Option<ProviderError> {
    let mut trailers = HeaderMap::new();
    trailers.insert(
        "grpc-status",
        HeaderValue::from_str(status).expect("a value"),
    );
    ProviderError::from_grpc(&trailers)
}

#[test]
fn ok_is_no_error_and_what_is_no_number_is_unknown() {
    assert!(with_status("0").is_none());
    assert!(ProviderError::from_grpc(&HeaderMap::new()).is_none());
    for odd in ["-1", "99", "x", ""] {
        let error = with_status(odd).expect("an error");
        assert_eq!(error.code(), Some("UNKNOWN"), "{odd:?}");
    }
}

#[test]
fn only_codes_that_pass_are_sent_again() {
    for code in 1..=16 {
        let error = with_status(&code.to_string());
        let verdict = Verdict::of(StatusCode::OK, error.as_ref());
        let again = matches!(
            verdict,
            Verdict::Throttled | Verdict::Overloaded | Verdict::Failed | Verdict::TimedOut
        );
        // UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE, DATA_LOSS
        let passes = [2, 4, 8, 10, 13, 14, 15].contains(&code);
        assert_eq!(again, passes, "{code}: {verdict:?}");
    }
}

#[test]
fn a_quota_per_day_does_not_pass() {
    // Status{code: 8, details: [QuotaFailure{violations: [{quota_id: "RequestsPerDay-Free"}]}]}
    let id = b"RequestsPerDay-Free";
    let violation = [&[0x2a, u8::try_from(id.len()).unwrap()][..], id].concat();
    let failure = [
        &[0x0a, u8::try_from(violation.len()).unwrap()][..],
        &violation,
    ]
    .concat();
    let name = b"type.googleapis.com/google.rpc.QuotaFailure";
    let any = [
        &[0x0a, u8::try_from(name.len()).unwrap()][..],
        name,
        &[0x12, u8::try_from(failure.len()).unwrap()],
        &failure,
    ]
    .concat();
    let status = [&[0x08, 8, 0x1a, u8::try_from(any.len()).unwrap()][..], &any].concat();
    use base64::Engine as _;
    let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("8"));
    trailers.insert(
        "grpc-status-details-bin",
        HeaderValue::from_str(&details).expect("a value"),
    );
    let error = ProviderError::from_grpc(&trailers);
    let verdict = Verdict::of(StatusCode::OK, error.as_ref());
    assert_eq!(verdict, Verdict::QuotaExhausted);
}

proptest! {
    #[test]
    fn any_trailers_are_read_without_panic_and_bounded(
        status in "[ -~]{0,4}",
        message in "[ -~]{0,3000}",
        details in "[A-Za-z0-9+/=]{0,100}",
    ) {
        let mut trailers = HeaderMap::new();
        for (name, value) in [
            ("grpc-status", &status),
            ("grpc-message", &message),
            ("grpc-status-details-bin", &details),
        ] {
            trailers.insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        if let Some(error) = ProviderError::from_grpc(&trailers) {
            prop_assert!(error.message().is_none_or(|text| text.len() <= 2048));
        }
    }
}

#[test]
fn a_status_that_is_no_text_is_unknown_and_not_ok() {
    let mut trailers = HeaderMap::new();
    let value = HeaderValue::from_bytes(b"\xff").expect("a value");
    trailers.insert("grpc-status", value);
    let error = ProviderError::from_grpc(&trailers).expect("an error");
    assert_eq!(error.code(), Some("UNKNOWN"));
}
