//! What the tests of this crate share: calls, answers, and a chain of three.

use std::time::Duration;

use bytes::Bytes;
use fallback_layer::{Chain, FallbackLayer, Left, Served, Target, Why};
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llm_exchange::Verdict;
use serde_json::Value;

pub(crate) use testkit::{Answer, BoxError, Script, ScriptedBody};
pub(crate) use tower::{Layer, ServiceExt};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
pub(crate) const HELLO: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
pub(crate) const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";
pub(crate) const SERVER_ERROR: &str = "data: {\"error\":{\"message\":\"oops\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";

pub(crate) const TOO_LONG: &str = r#"{"error":{"code":"context_length_exceeded"}}"#;
pub(crate) const FILTERED: &str = r#"{"error":{"code":"content_filter"}}"#;

/// Calls for `a` go on to `b`, then to `c` on this machine.
pub(crate) fn chain() -> Chain {
    Chain::of("a").then("b").then(local())
}

pub(crate) fn local() -> Target {
    Target::model("c")
        .at("http://127.0.0.1:11434")
        .without_credential()
}

pub(crate) fn layer() -> FallbackLayer {
    FallbackLayer::new(chain()).unwrap()
}

pub(crate) fn openai(model: &str) -> Request<Full<Bytes>> {
    let text = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
    post("https://api.example/v1/chat/completions", &text)
}

pub(crate) fn anthropic(model: &str) -> Request<Full<Bytes>> {
    let text = format!(r#"{{"model":"{model}","max_tokens":64,"messages":[]}}"#);
    post("https://api.example/v1/messages", &text)
}

pub(crate) fn post(uri: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len())
        .header(header::AUTHORIZATION, "Bearer sk-callers")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

pub(crate) fn answered() -> Answer {
    let json = r#"{"id":"chatcmpl-1","choices":[{"message":{"content":"Hello"}}]}"#;
    Answer::json(200, json)
}

pub(crate) fn streamed() -> Answer {
    Answer::sse([ROLE, HELLO, STOP, DONE])
}

/// The models that were asked, in their order. The script collects bodies.
pub(crate) fn asked(script: &Script) -> Vec<String> {
    let model = |body: &Bytes| {
        let json: Value = serde_json::from_slice(body).unwrap();
        json["model"].as_str().unwrap().to_owned()
    };
    let seen = script.seen();
    seen.iter()
        .map(|call| model(call.body.as_ref().unwrap()))
        .collect()
}

pub(crate) fn script() -> Script {
    Script::new().collect_bodies()
}

/// Each target that was left or skipped, in words.
pub(crate) fn left<B>(response: &Response<B>) -> Vec<String> {
    let served = Served::of(response).unwrap();
    served.left().iter().map(Left::to_string).collect()
}

/// The verdicts for which targets were left.
pub(crate) fn verdicts<B>(response: &Response<B>) -> Vec<Verdict> {
    let left = Served::of(response).unwrap().left().iter();
    left.filter_map(|left| match left.why() {
        Why::Outcome(verdict) => Some(verdict),
        _ => None,
    })
    .collect()
}

pub(crate) fn by<B>(response: &Response<B>) -> Option<&str> {
    Served::of(response).unwrap().by()
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
    let value = response.headers().get(name);
    value.map(|value| value.to_str().unwrap())
}
