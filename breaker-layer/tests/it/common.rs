//! What the tests of this crate share: calls, answers, and a layer whose open times are exact.

use std::time::Duration;

use breaker_layer::{Breaker, BreakerBody, BreakerHandle, BreakerLayer, CircuitState};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llm_exchange::Standard;
use tower::{Layer, ServiceExt};

pub(crate) use testkit::{Answer, BoxError, Script, ScriptedBody};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The key of [`openai`].
pub(crate) const KEY: &str = "gpt-6-sol@api.example";

pub(crate) const OPENAI: &str =
    r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}]}"#;
pub(crate) const STREAMED: &str =
    r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}],"stream":true}"#;

pub(crate) const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
pub(crate) const HELLO: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
pub(crate) const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";
pub(crate) const SERVER_ERROR: &str = "data: {\"error\":{\"message\":\"oops\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";

pub(crate) fn openai() -> Request<Full<Bytes>> {
    post("https://api.example/v1/chat/completions", OPENAI)
}

pub(crate) fn streamed() -> Request<Full<Bytes>> {
    post("https://api.example/v1/chat/completions", STREAMED)
}

pub(crate) fn post(uri: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, "Bearer sk-secret")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// Open for exactly 30 s, then 60 s and so on.
pub(crate) fn exact() -> BreakerLayer {
    BreakerLayer::new().jitter(0)
}

pub(crate) fn answered() -> Answer {
    Answer::json(
        200,
        r#"{"id":"chatcmpl-1","choices":[{"message":{"content":"Hello"}}]}"#,
    )
}

pub(crate) fn failed() -> Answer {
    Answer::json(
        500,
        r#"{"error":{"message":"oops","type":"server_error","param":null,"code":null}}"#,
    )
}

/// A whole stream.
pub(crate) fn stream() -> Answer {
    Answer::sse([ROLE, HELLO, STOP, DONE])
}

/// Answers by letters: `.` answered, `f` failed.
pub(crate) trait ThenAnswers: Sized {
    fn then_answers(self, letters: &str) -> Self;
}

impl ThenAnswers for Script {
    fn then_answers(self, letters: &str) -> Self {
        letters.chars().fold(self, |script, letter| {
            script.then(if letter == 'f' { failed() } else { answered() })
        })
    }
}

pub(crate) type Service = Breaker<Script, Standard>;

pub(crate) fn service(layer: &BreakerLayer, script: &Script) -> Service {
    layer.layer(script.clone())
}

/// The answer to one call.
pub(crate) async fn send(
    service: &Service,
    request: Request<Full<Bytes>>,
) -> Result<Response<BreakerBody<ScriptedBody, Standard>>, BoxError> {
    service.clone().oneshot(request).await
}

/// One call to the end of its body, whatever that comes to: its status.
pub(crate) async fn call(service: &Service, request: Request<Full<Bytes>>) -> u16 {
    let response = send(service, request).await.unwrap();
    let status = response.status().as_u16();
    let _ = response.into_body().collect().await;
    status
}

/// The same so many times.
pub(crate) async fn calls(times: usize, service: &Service) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(call(service, openai()).await);
    }
    statuses
}

pub(crate) fn state(handle: &BreakerHandle) -> CircuitState {
    handle
        .circuit(KEY)
        .map_or(CircuitState::Closed, |circuit| circuit.state)
}

/// Five failures, which open the circuit of [`openai`].
pub(crate) async fn open(service: &Service, handle: &BreakerHandle) {
    calls(5, service).await;
    assert_eq!(state(handle), CircuitState::Open);
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

pub(crate) fn header<'r, B>(response: &'r Response<B>, name: &str) -> Option<&'r str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
