//! What the tests of this crate share: calls, and a layer whose waits are exact.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use retry_layer::{Backoff, RetryLayer};
use tokio::time::Instant;

pub(crate) use testkit::{Answer, BoxError, Script, ScriptedBody};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const OPENAI: &str =
    r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}]}"#;
pub(crate) const ANTHROPIC: &str = r#"{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{"role":"user","content":"hi"}],"stream":true}"#;

pub(crate) const RATE_LIMITED: &str = r#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
pub(crate) const OVERLOADED: &str =
    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;

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

pub(crate) fn anthropic() -> Request<Full<Bytes>> {
    post("https://api.example/v1/messages", ANTHROPIC)
}

pub(crate) fn post(uri: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, "Bearer sk-secret")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// Waits of exactly 1 s, 2 s, 4 s and so on.
pub(crate) fn exact() -> RetryLayer {
    RetryLayer::new().backoff(Backoff::new().jitter(0.0).unwrap())
}

pub(crate) fn answered() -> Answer {
    Answer::json(
        200,
        r#"{"id":"chatcmpl-1","choices":[{"message":{"content":"Hello"}}]}"#,
    )
}

pub(crate) fn throttled() -> Answer {
    Answer::json(429, RATE_LIMITED)
}

/// The moments of the calls after the first, in seconds since it.
pub(crate) fn waits(script: &Script) -> Vec<f64> {
    let seen = script.seen();
    let first: Instant = seen[0].at;
    seen.iter()
        .skip(1)
        .map(|call| (call.at - first).as_millis() as f64 / 1000.0)
        .collect()
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn header<'r, B>(response: &'r Response<B>, name: &str) -> Option<&'r str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}
