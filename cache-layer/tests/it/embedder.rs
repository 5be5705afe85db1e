//! A provider of embeddings, and calls to it.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cache_layer::{CacheLayer, Store};
use http::{Request, Response, header};
use http_body_util::Full;
use llm_exchange::Payload;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt};

use crate::common::*;

/// Embeds by a rule: what stands for a text depends on it and on what is asked of it.
#[derive(Clone, Default)]
pub(crate) struct Provider(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    asked: Vec<Value>,
    takes: Duration,
    /// To be answered with these instead.
    instead: VecDeque<Response<Full<Bytes>>>,
}

pub(crate) fn embedding(input: &Value, request: &Value) -> Value {
    let sum: u64 = input.to_string().bytes().map(u64::from).sum();
    match request["encoding_format"].as_str() {
        Some("base64") => format!("base64-{sum}").into(),
        _ => {
            let dimensions = request["dimensions"].as_u64().unwrap_or(2);
            (0..dimensions)
                .map(|at| sum + at)
                .collect::<Vec<_>>()
                .into()
        }
    }
}

pub(crate) fn inputs(request: &Value) -> Vec<Value> {
    match &request["input"] {
        Value::Array(inputs) if !inputs[0].is_number() => inputs.clone(),
        one => vec![one.clone()],
    }
}

pub(crate) fn tokens(inputs: &[Value]) -> u64 {
    inputs
        .iter()
        .map(|input| input.to_string().len() as u64)
        .sum()
}

/// What a provider answers that is not behind a cache.
pub(crate) fn uncached(request: &Value) -> Value {
    let inputs = inputs(request);
    let data = inputs.iter().enumerate().map(|(index, input)| {
        json!({"object": "embedding", "index": index, "embedding": embedding(input, request)})
    });
    let tokens = tokens(&inputs);
    json!({
        "object": "list", "data": data.collect::<Vec<_>>(), "model": request["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
}

pub(crate) fn json_answer(status: u16, body: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len())
        .body(Full::from(body.to_owned()))
        .unwrap()
}

impl Service<Request<Payload>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let body = request.body().whole().unwrap();
        assert_eq!(
            request.headers()[header::CONTENT_LENGTH],
            body.len().to_string()
        );
        let request: Value = serde_json::from_slice(body).unwrap();
        let mut state = self.0.lock().unwrap();
        let answer = state
            .instead
            .pop_front()
            .unwrap_or_else(|| json_answer(200, &uncached(&request).to_string()));
        state.asked.push(request);
        let takes = state.takes;
        Box::pin(async move {
            if !takes.is_zero() {
                sleep(takes).await;
            }
            Ok(answer)
        })
    }
}

impl Provider {
    pub(crate) fn taking(takes: Duration) -> Self {
        let provider = Self::default();
        provider.0.lock().unwrap().takes = takes;
        provider
    }

    pub(crate) fn instead(&self, status: u16, body: &str) {
        let answer = json_answer(status, body);
        self.0.lock().unwrap().instead.push_back(answer);
    }

    /// The texts of the calls since it was last asked.
    pub(crate) fn asked(&self) -> Vec<Vec<Value>> {
        let asked = std::mem::take(&mut self.0.lock().unwrap().asked);
        asked.iter().map(inputs).collect()
    }
}

pub(crate) fn of(input: impl Into<Value>) -> Value {
    json!({"model": "text-embedding-3-small", "input": input.into()})
}

pub(crate) fn post_embeddings(key: &str, request: &Value) -> Request<Full<Bytes>> {
    let body = request.to_string();
    let mut post = post_by(key, &body);
    *post.uri_mut() = "https://api.example/v1/embeddings".parse().unwrap();
    post.headers_mut()
        .insert(header::CONTENT_LENGTH, body.len().into());
    post
}

pub(crate) async fn asks<St: Store>(
    layer: &CacheLayer<St>,
    provider: &Provider,
    request: &Value,
) -> Got {
    asks_by("sk-one", layer, provider, request).await
}

pub(crate) async fn asks_by<St: Store>(
    key: &str,
    layer: &CacheLayer<St>,
    provider: &Provider,
    request: &Value,
) -> Got {
    let service = layer.layer(provider.clone());
    read(
        service
            .oneshot(post_embeddings(key, request))
            .await
            .unwrap(),
    )
    .await
}

/// The answer without its usage, and the tokens that it says.
pub(crate) fn parts(got: &Got) -> (Value, u64) {
    let mut json: Value = serde_json::from_str(&got.text).unwrap();
    assert_eq!(
        got.header("content-length"),
        Some(&*got.text.len().to_string())
    );
    let usage = json.as_object_mut().unwrap().remove("usage").unwrap();
    assert_eq!(usage["prompt_tokens"], usage["total_tokens"]);
    (json, usage["prompt_tokens"].as_u64().unwrap())
}

pub(crate) fn expected(request: &Value) -> Value {
    let mut json = uncached(request);
    json.as_object_mut().unwrap().remove("usage");
    json
}
