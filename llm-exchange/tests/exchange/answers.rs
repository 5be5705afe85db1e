//! Answers of our own, shaped as the caller's provider would shape them.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use llm_exchange::{
    AnswerBody, Dialect, ErrorAnswer, ProviderError, Refusal, StandingRefusal, Verdict,
};

type Answer = Response<AnswerBody<Empty<Bytes>>>;

const DIALECTS: [Option<Dialect>; 3] = [
    None,
    Some(Dialect::OpenAiChat),
    Some(Dialect::AnthropicMessages),
];

#[tokio::test]
async fn an_error_answer_reads_like_the_providers_own_in_every_dialect() {
    for dialect in DIALECTS {
        for (status, verdict) in [
            (StatusCode::BAD_REQUEST, Verdict::CallersFault),
            (StatusCode::NOT_FOUND, Verdict::CallersFault),
            (StatusCode::TOO_MANY_REQUESTS, Verdict::Throttled),
            (StatusCode::BAD_GATEWAY, Verdict::Failed),
            (StatusCode::SERVICE_UNAVAILABLE, Verdict::Overloaded),
            (StatusCode::GATEWAY_TIMEOUT, Verdict::TimedOut),
        ] {
            let answer = ErrorAnswer::new(status, "our_code", "a \"sentence\"");
            let response: Answer = answer.into_response(dialect);
            assert_eq!(response.headers()["content-type"], "application/json");
            let length = response.headers()["content-length"].clone();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(length, body.len().to_string().as_str());
            let error = ProviderError::from_body(&body).unwrap();
            assert_eq!(error.code(), Some("our_code"));
            assert_eq!(error.message(), Some("a \"sentence\""));
            assert_eq!(
                Verdict::of(status, Some(&error)),
                verdict,
                "{dialect:?} {status}"
            );
        }
    }
}

#[test]
fn a_delay_is_told_in_seconds_rounded_up_and_in_milliseconds() {
    let told = |delay| {
        let answer = ErrorAnswer::new(StatusCode::TOO_MANY_REQUESTS, "c", "m").retry_after(delay);
        let response: Answer = answer.into_response(None);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        (header("retry-after"), header("retry-after-ms"))
    };
    assert_eq!(
        told(Duration::from_millis(1_001)),
        ("2".into(), "1001".into())
    );
    assert_eq!(told(Duration::from_nanos(1)), ("1".into(), "1".into()));
    assert_eq!(told(Duration::from_secs(60)), ("60".into(), "60000".into()));
}

#[test]
fn a_refusal_is_known_by_its_type() {
    let answer = ErrorAnswer::new(StatusCode::SERVICE_UNAVAILABLE, "breaker_open", "open")
        .retry_after(Duration::from_secs(3));
    let response: Answer = Refusal::new("breaker-layer", answer).into_response(None);
    let refusal = Refusal::of(&response).unwrap();
    assert_eq!(
        (refusal.layer(), refusal.code()),
        ("breaker-layer", "breaker_open")
    );
    assert_eq!(refusal.retry_after(), Some(Duration::from_secs(3)));
    assert!(Refusal::of(&Response::new(())).is_none());
}

/// A request with headers and an extension, of which nothing may get into the answer.
fn refused() -> Request<()> {
    let mut request = Request::post("/v1/chat/completions")
        .header("authorization", "Bearer secret")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    request.extensions_mut().insert("of the app");
    request
}

#[test]
fn the_room_of_a_request_is_empty() {
    static CLOSED: StandingRefusal =
        StandingRefusal::new("hours", StatusCode::SERVICE_UNAVAILABLE, "closed", "closed");
    let answer: Answer = CLOSED.answer(None, Duration::from_secs(1), refused().into());
    assert!(!answer.headers().contains_key("authorization"));
    assert!(answer.extensions().get::<&str>().is_none());
    assert_eq!(answer.extensions().len(), 1, "the refusal alone");
}

#[tokio::test]
async fn a_standing_refusal_is_each_time_the_answer_that_would_be_written_for_the_one_call() {
    static CLOSED: StandingRefusal = StandingRefusal::new(
        "opening-hours",
        StatusCode::SERVICE_UNAVAILABLE,
        "closed",
        "closed at \"night\"",
    );
    let all = DIALECTS
        .into_iter()
        .chain([Some(Dialect::Gemini), Some(Dialect::GeminiGrpc)]);
    for dialect in all {
        for seconds in [1, 8 * 3600] {
            let after = Duration::from_secs(seconds);
            let answer = ErrorAnswer::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "closed",
                "closed at \"night\"",
            );
            let refusal = Refusal::new("opening-hours", answer.retry_after(after));
            let one: Answer = refusal.into_response(dialect);
            let standing: Answer = CLOSED.answer(dialect, after, refused().into());
            assert_eq!(standing.status(), one.status(), "{dialect:?}");
            assert_eq!(standing.headers(), one.headers(), "{dialect:?}");
            let known = Refusal::of(&standing).unwrap();
            assert_eq!((known.layer(), known.code()), ("opening-hours", "closed"));
            assert_eq!(known.retry_after(), Some(after));
            let body =
                |answer: Answer| async { answer.into_body().collect().await.unwrap().to_bytes() };
            assert_eq!(body(standing).await, body(one).await, "{dialect:?}");
        }
    }
}
