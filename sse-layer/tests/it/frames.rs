//! Streams in frames: gRPC's end in their trailers, and nothing is written into the midst of a frame.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body;
use http_body_util::BodyExt;
use llm_exchange::{CutShort, End, Meter};
use sse_layer::{SseLayer, StreamTimeoutLayer};
use tower::{Layer, ServiceExt};

use crate::common::*;

/// A message of the Gemini API that says a word.
fn message(word: &str) -> Vec<u8> {
    let field = |number: u8, inner: &[u8]| [&[number << 3 | 2, inner.len() as u8], inner].concat();
    let message = field(1, &field(1, &field(1, &field(2, word.as_bytes()))));
    [&[0, 0, 0, 0, message.len() as u8], &message[..]].concat()
}

fn messages() -> Vec<Vec<u8>> {
    [" one", " two", " three"].map(message).to_vec()
}

fn status(code: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers.insert("x-request", HeaderValue::from_static("7"));
    trailers
}

/// Through both layers.
async fn answered(
    sse: SseLayer,
    body: ScriptedBody,
) -> Response<impl Body<Data = Bytes, Error = BoxError>> {
    let answer = Answer::status(200)
        .header("content-type", "application/grpc")
        .body(body);
    let clocks = StreamTimeoutLayer::new().silence(SECOND * 5);
    let service = sse.layer(clocks.layer(Script::new().then(answer)));
    service.oneshot(grpc()).await.unwrap()
}

async fn read(sse: SseLayer, body: ScriptedBody) -> (Vec<u8>, HeaderMap) {
    let response = answered(sse, body).await;
    assert!(!response.headers().contains_key("x-accel-buffering"));
    let all = response.into_body().collect().await.unwrap();
    let trailers = all.trailers().cloned().unwrap_or_default();
    (all.to_bytes().to_vec(), trailers)
}

fn chunks(bytes: &[u8], size: usize) -> ScriptedBody {
    ScriptedBody::chunks(bytes.chunks(size).map(<[u8]>::to_vec))
}

#[tokio::test(start_paused = true)]
async fn a_healthy_stream_passes_byte_for_byte_with_its_trailers() {
    let all = messages().concat();
    for size in [1, 7, 20, all.len()] {
        for code in ["0", "8"] {
            let body = chunks(&all, size).trailers(status(code));
            let layer = SseLayer::new().max_output_tokens(4).keep_alive(SECOND);
            assert_eq!(read(layer, body).await, (all.clone(), status(code)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn at_its_cap_it_says_so_in_a_last_message_and_is_ok() {
    let all = messages();
    for size in [1, 7, 20, all.concat().len()] {
        let body = chunks(&all.concat(), size).hang();
        let (read, trailers) = read(SseLayer::new().max_output_tokens(2), body).await;
        let ending = read.strip_prefix(&all[..2].concat()[..]).unwrap();
        // {candidates: [{content: {role: "model"}, finish_reason: MAX_TOKENS}], usage: ...}
        assert_eq!(ending[..3], [0, 0, 0]);
        assert_eq!(usize::from(ending[4]), ending.len() - 5);
        assert_eq!(ending[5..18], *b"\x0a\x0b\x0a\x07\x12\x05model\x10\x02");
        assert_eq!(ending[18], 0x1a);
        assert_eq!(
            (trailers.len(), &trailers["grpc-status"]),
            (1, &HeaderValue::from_static("0"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_breaks_ends_or_hangs_within_a_message_has_a_status_behind_the_last_whole_one() {
    let all = messages();
    let (whole, half) = (all[..2].concat(), &all[2][..9]);
    let front = [&whole[..], half].concat();
    for (body, code, message) in [
        (
            chunks(&front, 50).error("reset"),
            "14",
            "the provider's stream broke",
        ),
        (
            chunks(&front, 50),
            "14",
            "the provider's stream ended before its answer was complete",
        ),
        (chunks(&front, 50).hang(), "4", "no byte for 5s"),
    ] {
        let (read, trailers) = read(SseLayer::new(), body).await;
        assert_eq!(read, whole, "{code}");
        assert_eq!(trailers["grpc-status"], code);
        assert_eq!(trailers["grpc-message"], message);
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_without_a_status_are_given_one_and_kept() {
    let mut trailers = status("0");
    trailers.remove("grpc-status");
    let body = chunks(&messages().concat(), 50).trailers(trailers);
    let (_, trailers) = read(SseLayer::new(), body).await;
    assert_eq!(trailers["grpc-status"], "14");
    assert_eq!(trailers["x-request"], "7");
}

#[tokio::test(start_paused = true)]
async fn a_status_in_a_head_that_is_all_stays_there() {
    let answer = Answer::status(200)
        .header("content-type", "application/grpc")
        .header("grpc-status", "8")
        .body(ScriptedBody::new());
    let service = SseLayer::new().layer(Script::new().then(answer));
    let response = service.oneshot(grpc()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "8");
    let body = response.into_body().collect().await.unwrap();
    assert!(body.trailers().is_none() && body.to_bytes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_both_ways_rests_as_long_as_it_likes() {
    let mut request = post(
        "https://api.example/inference.GRPCInferenceService/ModelStreamInfer",
        "",
    );
    let kind = HeaderValue::from_static("application/grpc");
    request.headers_mut().insert("content-type", kind);
    let body = ScriptedBody::new()
        .data(messages().concat())
        .wait(SECOND * 100_000)
        .trailers(status("0"));
    let answer = Answer::status(200)
        .header("content-type", "application/grpc")
        .body(body);
    let clocks = StreamTimeoutLayer::new().total(SECOND).hold(SECOND);
    let sse = SseLayer::new().max_output_tokens(1);
    let service = sse.layer(clocks.layer(Script::new().then(answer)));
    let response = service.oneshot(request).await.unwrap();
    let all = response.into_body().collect().await.unwrap();
    assert_eq!(all.trailers(), Some(&status("0")));
    assert_eq!(all.to_bytes(), messages().concat());
}

/// The beginning of an element of an array that is longer than what is held back, and then this.
fn huge(then: impl FnOnce(ScriptedBody) -> ScriptedBody) -> Script {
    let begun = format!("[{{\"text\":\"{}", "x".repeat(5 << 20));
    let answer = Answer::status(200)
        .header("content-type", "application/json")
        .body(then(ScriptedBody::new().data(begun)));
    Script::new().then(answer)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_into_an_element_that_was_too_long_to_hold() {
    let request = || {
        post(
            "https://api.example/v1beta/models/m:streamGenerateContent",
            "{\"contents\":[]}",
        )
    };
    let service = SseLayer::new().layer(huge(|body| body.error("reset")));
    let response = service.oneshot(request()).await.unwrap();
    let meter = Meter::of(&response).unwrap().clone();
    let error = response
        .into_body()
        .collect()
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.to_string(), "reset");
    assert_eq!(meter.end(), Some(End::Broken));

    let clocks = StreamTimeoutLayer::new().hold(Duration::ZERO);
    let service = clocks.layer(huge(ScriptedBody::hang));
    let response = service.oneshot(request()).await.unwrap();
    let error = response
        .into_body()
        .collect()
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(error.is::<CutShort>());
}
