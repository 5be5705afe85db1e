//! The call that is measured: a request of 2 KB with 12 headers, an answer of 1 KB.

use std::task::{Context, Poll};

use bytes::Bytes;
use cost_layer::{CostLayer, Prices};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llm_exchange::{BoxError, Payload};
use tower::Service;

/// Answers at once.
#[derive(Clone)]
pub(crate) struct Provider(pub(crate) Bytes);

impl<B> Service<Request<B>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let response = Response::builder().header("content-type", "application/json");
        std::future::ready(response.body(Full::new(self.0.clone())).map_err(Into::into))
    }
}

pub(crate) fn request_body() -> Bytes {
    let text = "All happy families are alike. ".repeat(64);
    format!(r#"{{"model":"gpt-6-sol","messages":[{{"role":"user","content":"{text}"}}]}}"#).into()
}

pub(crate) fn answer_body() -> Bytes {
    let text = "Every unhappy family is unhappy in its own way. ".repeat(16);
    format!(r#"{{"id":"chatcmpl-1","model":"gpt-6-sol-2026-09-22","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1000,"completion_tokens":100,"prompt_tokens_details":{{"cached_tokens":500}}}}}}"#).into()
}

pub(crate) fn request(body: &Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::post("https://api.openai.com/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-of-somebody");
    for number in 0..10 {
        request = request.header(format!("x-header-{number}"), "value");
    }
    request.body(Full::new(body.clone())).unwrap()
}

pub(crate) fn layer() -> CostLayer {
    CostLayer::new(Prices::builtin()).alert_hour(llm_exchange::Money::usd(1_000_000))
}

/// The request, read: what the layer does first, and the bare service needs too.
pub(crate) async fn payload(body: &Bytes) -> Request<Payload> {
    Payload::read(request(body), Payload::DEFAULT_MAX_BYTES).await
}

/// The body, to its end.
pub(crate) async fn drain<B: http_body::Body + Unpin>(mut body: B) -> u64 {
    let mut frames = 0;
    while let Some(Ok(_)) = body.frame().await {
        frames += 1;
    }
    frames
}
