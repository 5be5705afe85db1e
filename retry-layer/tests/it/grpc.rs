//! gRPC, whose answers are all 200: the status is in the trailers.

use crate::common::*;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use llm_exchange::Verdict;
use retry_layer::Retried;
use tower::{Layer, ServiceExt};

const PATH: &str = "https://h/google.cloud.aiplatform.v1.PredictionService/GenerateContent";

/// A message: of the first candidate's content the first part, with the text "x".
const CONTENT: &[u8] = b"\0\0\0\0\x09\x12\x07\x12\x05\x12\x03\x0a\x01x";

fn call() -> Request<Full<Bytes>> {
    Request::post(PATH)
        .header("content-type", "application/grpc")
        // model "m"
        .body(Full::from(&b"\0\0\0\0\x03\x2a\x01m"[..]))
        .unwrap()
}

/// Trailers alone, in the head.
fn refused(status: &str) -> Answer {
    Answer::status(200)
        .header("content-type", "application/grpc")
        .header("grpc-status", status)
}

fn answer(messages: &[&'static [u8]], status: &str) -> Answer {
    let trailers =
        HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
    let body = messages
        .iter()
        .fold(ScriptedBody::new(), |body, message| body.data(*message));
    Answer::status(200)
        .header("content-type", "application/grpc")
        .body(body.trailers(trailers))
}

#[tokio::test(start_paused = true)]
async fn a_status_in_the_trailers_is_obeyed_wherever_they_stand() {
    let script = Script::new()
        .then(refused("14"))
        .then(refused("8").header("grpc-retry-pushback-ms", "250"))
        .then(answer(&[], "14"))
        .then(answer(&[CONTENT], "0"));
    let response = exact().layer(script.clone()).oneshot(call()).await.unwrap();
    assert_eq!(waits(&script), [1.0, 1.25, 5.25]);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), CONTENT);
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_fault_and_a_pushback_that_forbids_go_back_at_once() {
    for (refusal, verdict) in [
        (refused("3"), Verdict::CallersFault),
        (
            refused("14").header("grpc-retry-pushback-ms", "-1"),
            Verdict::Overloaded,
        ),
    ] {
        let script = Script::new().then(refusal);
        let response = exact().layer(script).oneshot(call()).await.unwrap();
        assert_eq!(Retried::of(&response).unwrap().verdict, verdict);
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_after_the_first_content_is_an_error_in_the_statistics() {
    let layer = exact();
    let script = Script::new().then(answer(&[CONTENT], "14"));
    let response = layer.layer(script).oneshot(call()).await.unwrap();
    response.into_body().collect().await.unwrap();
    let stats = layer.handle().stats();
    assert_eq!((stats.retries, stats.errors), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_ours_that_ran_out_is_a_grpc_status() {
    let layer = exact().max_retries(0).attempt_timeout(SECOND);
    let script = Script::new().then(Answer::hang());
    let response = layer.layer(script).oneshot(call()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), Some("application/grpc"));
    assert_eq!(header(&response, "grpc-status"), Some("4"));
}
