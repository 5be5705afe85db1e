//! What the tests of this crate share: calls, answers, a clock that obeys paused time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cache_layer::{CacheHandle, CacheLayer, Store};
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llm_exchange::WallClock;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

pub(crate) use testkit::{Answer, BoxError, Script, ScriptedBody};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const CHAT: &str =
    r#"{"model":"gpt-6-sol","temperature":0,"messages":[{"role":"user","content":"hi"}]}"#;
pub(crate) const STREAMED: &str = r#"{"model":"gpt-6-sol","temperature":0,"messages":[{"role":"user","content":"hi"}],"stream":true}"#;
pub(crate) const WARM: &str =
    r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}]}"#;

pub(crate) const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-6-sol-2026-09-01","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;

pub(crate) const ROLE: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-6-sol-2026-09-01\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
pub(crate) const HEL: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-6-sol-2026-09-01\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n";
pub(crate) const LO: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-6-sol-2026-09-01\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n\n";
pub(crate) const STOP: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-6-sol-2026-09-01\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const USAGE: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-6-sol-2026-09-01\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

pub(crate) const RATE_LIMITED: &str = r#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;

pub(crate) fn post(body: &str) -> Request<Full<Bytes>> {
    post_by("sk-one", body)
}

/// A call with this credential.
pub(crate) fn post_by(key: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post("https://api.example/v1/chat/completions")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .body(Full::from(body.to_owned()))
        .unwrap()
}

pub(crate) fn controlled(body: &str, control: &str) -> Request<Full<Bytes>> {
    let mut request = post(body);
    request
        .headers_mut()
        .insert(header::CACHE_CONTROL, control.parse().unwrap());
    request
}

/// A layer by the clock of the test, whose answers expire at their time.
pub(crate) fn layer() -> CacheLayer {
    CacheLayer::new().clock(clock()).ttl_jitter(0.0)
}

pub(crate) fn clock() -> WallClock {
    let start = Instant::now();
    let base = SystemTime::UNIX_EPOCH + SECOND * 1_700_000_000;
    WallClock::from_fn(Arc::new(move || base + start.elapsed()))
}

pub(crate) fn answered() -> Answer {
    Answer::json(200, ANSWER)
        .header("x-request-id", "req_1")
        .header("x-ratelimit-remaining-requests", "9")
        .header("set-cookie", "a=b")
}

pub(crate) fn throttled() -> Answer {
    Answer::json(429, RATE_LIMITED)
}

pub(crate) fn streamed() -> Answer {
    Answer::sse([ROLE, HEL, LO, STOP, USAGE, DONE])
}

/// The stream as a caller sees it who did not ask for the usage.
pub(crate) fn without_usage() -> String {
    [ROLE, HEL, LO, STOP, DONE].concat()
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) response: Response<()>,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap())
    }

    pub(crate) fn cache(&self) -> &str {
        self.header("x-llm-cache").unwrap_or("none")
    }
}

pub(crate) async fn read<B>(response: Response<B>) -> Got
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Got {
        response: Response::from_parts(parts, ()),
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

/// Makes a call through a fresh service of the layer, and reads all of its answer.
pub(crate) async fn ask<St: Store>(
    layer: &CacheLayer<St>,
    script: &Script,
    request: Request<Full<Bytes>>,
) -> Got {
    read(layer.layer(script.clone()).oneshot(request).await.unwrap()).await
}

pub(crate) fn kept<St: Store>(handle: &CacheHandle<St>) -> (u64, u64) {
    let stats = handle.stats();
    (stats.kept, stats.not_kept)
}
