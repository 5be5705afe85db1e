//! Calls, answers and a service through the layer.

use std::time::Duration;

pub use budget_layer::quota::{ProviderQuota, ProviderQuotaLayer};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use llm_exchange::{AnswerBody, Payload};
pub use testkit::{Answer, BoxError, Script, ScriptedBody};
pub use tokio::time::{Instant, advance, sleep};
use tower::{Layer, ServiceExt};

pub const SECOND: Duration = Duration::from_secs(1);
pub const AT_ONCE: Duration = Duration::ZERO;

pub const CHAT: &str =
    r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}],"max_tokens":10}"#;

pub fn chat() -> Request<Full<Bytes>> {
    post("https://api.example/v1/chat/completions", CHAT)
}

pub fn post(uri: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, "Bearer sk-secret")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

pub fn answered() -> Answer {
    Answer::json(
        200,
        r#"{"id":"chatcmpl-1","choices":[{"message":{"content":"Hello"}}]}"#,
    )
}

/// A 429 that asks for a wait.
pub fn throttled(millis: u64) -> Answer {
    let body = r#"{"error":{"message":"slow","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
    Answer::json(429, body).header("retry-after-ms", &millis.to_string())
}

pub type Service = ProviderQuota<Script>;

pub fn service(layer: &ProviderQuotaLayer, script: &Script) -> Service {
    layer.layer(script.clone())
}

pub async fn send(
    service: &Service,
    request: Request<Full<Bytes>>,
) -> Response<AnswerBody<ScriptedBody>> {
    service.clone().oneshot(request).await.unwrap()
}

/// One call to its end: its status, and how long it took.
pub async fn call(service: &Service, request: Request<Full<Bytes>>) -> (u16, Duration) {
    let start = Instant::now();
    let response = send(service, request).await;
    let took = start.elapsed();
    let status = response.status().as_u16();
    let _ = response.into_body().collect().await;
    (status, took)
}

/// The same with a deadline of the call's own.
pub async fn call_until(service: &Service, deadline: Duration) -> (u16, Duration) {
    let request = Payload::read(chat(), 1 << 20).await;
    let call = llm_exchange::Call::of(&request).unwrap();
    call.attempts().end_by(Instant::now() + deadline);
    let start = Instant::now();
    let response = service.clone().oneshot(request).await.unwrap();
    (response.status().as_u16(), start.elapsed())
}

pub fn header<'r, B>(response: &'r Response<B>, name: &str) -> Option<&'r str> {
    let value = response.headers().get(name)?;
    value.to_str().ok()
}
