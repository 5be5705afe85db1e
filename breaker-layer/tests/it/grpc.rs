//! gRPC: the head is a 200 always, the status is in the trailers.

use crate::common::*;
use breaker_layer::{CircuitCounts, CircuitState};
use http::{HeaderMap, Request};
use http_body_util::Full;
use llm_exchange::Refusal;

fn generate() -> Request<Full<bytes::Bytes>> {
    let method = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
    Request::post(format!("https://api.example{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::from(asked()))
        .unwrap()
}

/// One message whose first field, the model, is `models/gemini-3.8-flash`.
fn asked() -> Vec<u8> {
    let model = b"models/gemini-3.8-flash";
    let length = model.len() as u8;
    [&[0, 0, 0, 0, length + 2, 0x0a, length], &model[..]].concat()
}

fn head() -> Answer {
    Answer::status(200).header("content-type", "application/grpc")
}

fn trailers(code: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    trailers
}

/// One message, then the trailers.
fn ended(code: &str) -> Answer {
    let message = ScriptedBody::new().data(&b"\0\0\0\0\0"[..]);
    head().body(message.trailers(trailers(code)))
}

async fn counted(answer: Answer) -> CircuitCounts {
    let layer = exact();
    let handle = layer.handle();
    call(&service(&layer, &Script::new().then(answer)), generate()).await;
    handle.circuits()[0].counts
}

#[tokio::test(start_paused = true)]
async fn the_status_in_the_trailers_decides() {
    assert_eq!(counted(ended("0")).await.successes, 1);
    for code in ["2", "4", "10", "13", "14", "15"] {
        assert_eq!(counted(ended(code)).await.failures, 1, "{code}");
    }
    for code in ["1", "3", "5", "7", "8", "9", "12", "16"] {
        assert_eq!(counted(ended(code)).await.neither, 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_has_only_trailers_decides_too() {
    let only = |code| head().header("grpc-status", code);
    assert_eq!(counted(only("14")).await.failures, 1);
    assert_eq!(counted(only("0")).await.successes, 1);
    assert_eq!(counted(only("3")).await.neither, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_status_and_a_proxys_error_are_failures() {
    let message = || ScriptedBody::new().data(&b"\0\0\0\0\0"[..]);
    assert_eq!(counted(head().body(message())).await.failures, 1);
    assert_eq!(
        counted(head().body(message().error("reset")))
            .await
            .failures,
        1
    );
    assert_eq!(counted(Answer::status(502)).await.failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_gets_unavailable_as_trailers_alone() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then_always(|| ended("14"));
    let service = service(&layer, &script);
    for _ in 0..5 {
        call(&service, generate()).await;
    }
    let circuits = handle.circuits();
    assert_eq!(
        (&*circuits[0].key, circuits[0].state),
        ("gemini-3.8-flash@api.example", CircuitState::Open)
    );
    let response = send(&service, generate()).await.unwrap();
    assert_eq!(script.calls(), 5);
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), Some("application/grpc"));
    assert_eq!(header(&response, "grpc-status"), Some("14"));
    assert_eq!(header(&response, "grpc-retry-pushback-ms"), Some("30000"));
    assert!(Refusal::of(&response).is_some());
    assert!(http_body::Body::is_end_stream(response.body()));
}
