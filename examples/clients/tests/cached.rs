//! cache-layer over real connections: a hyper client against the fake provider, and an axum server.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use cache_layer::CacheLayer;
use common::{hyper, text, within};
use fake_provider::{Behaviour, FakeProvider, Outcome};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use llm_exchange::Payload;
use tower::{Layer, ServiceExt};

const MODEL: &str = "gpt-6-sol";

fn chat(url: &str, stream: bool) -> Request<Full<Bytes>> {
    let mut request = common::chat(url, MODEL, stream);
    let key = "Bearer sk-one".parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, key);
    request
}

#[tokio::test]
async fn equal_streams_are_one_call_of_hyper_although_who_began_it_leaves() {
    let fake = FakeProvider::start().await.unwrap();
    fake.on(
        MODEL,
        Behaviour::ok().delta_delay(Duration::from_millis(30)),
    );
    let layer = CacheLayer::new().all();
    let (service, handle) = (layer.layer(hyper()), layer.handle());
    let mut begun = within(service.clone().oneshot(chat(&fake.url(), true)))
        .await
        .unwrap()
        .into_body();
    let others: Vec<_> = (0..20)
        .map(|_| {
            let call = service.clone().oneshot(chat(&fake.url(), true));
            tokio::spawn(async move { text(call.await.unwrap()).await })
        })
        .collect();
    within(begun.frame()).await.unwrap().unwrap();
    while handle.stats().coalesced < 20 {
        tokio::task::yield_now().await;
    }
    drop(begun);
    for other in others {
        let text = within(other).await.unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        assert!(text.contains("three") && text.contains("four"), "{text}");
    }
    let stored = within(service.clone().oneshot(chat(&fake.url(), true)))
        .await
        .unwrap();
    assert_eq!(stored.headers()["x-llm-cache"], "hit");
    // and as JSON, from the stream
    let json = within(service.oneshot(chat(&fake.url(), false)))
        .await
        .unwrap();
    assert_eq!(json.headers()["x-llm-cache"], "hit");
    assert!(within(text(json)).await.contains("one two three four"));
    assert_eq!(fake.log().len(), 1);
    assert_eq!(fake.log()[0].outcome, Outcome::Whole);
}

#[tokio::test]
async fn of_a_batch_only_the_rest_goes_over_the_wire() {
    let fake = FakeProvider::start().await.unwrap();
    let service = CacheLayer::new().layer(hyper());
    let embed = async |input: &str| {
        let mut request = chat(&fake.url(), false);
        *request.uri_mut() = format!("{}/v1/embeddings", fake.url()).parse().unwrap();
        *request.body_mut() =
            format!(r#"{{"model":"text-embedding-3-small","input":{input}}}"#).into();
        let response = within(service.clone().oneshot(request)).await.unwrap();
        let status = response.headers()["x-llm-cache"]
            .to_str()
            .unwrap()
            .to_owned();
        (status, within(text(response)).await)
    };
    let (_, first) = embed(r#"["one", "two"]"#).await;
    let (status, merged) = embed(r#"["two", "three", "one"]"#).await;
    assert_eq!(status, "miss");
    assert_eq!(embed(r#""three""#).await.0, "hit");
    let log = fake.log();
    assert_eq!(log.len(), 2);
    assert!(
        log[1].body.ends_with(br#""input":["three"]}"#),
        "{:?}",
        log[1].body
    );
    for (answer, texts) in [(first, 2), (merged, 3)] {
        assert_eq!(answer.matches("\"embedding\":[").count(), texts, "{answer}");
        assert!(
            answer.contains(&format!("\"index\":{}", texts - 1)),
            "{answer}"
        );
    }
}

/// An LLM server of one's own behind the layer.
#[tokio::test]
async fn an_axum_server_answers_from_its_cache() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    const ANSWER: &str = r#"{"model":"gpt-6-sol","choices":[{"index":0,"message":{"role":"assistant","content":"Lemon"},"finish_reason":"stop"}]}"#;
    async fn answer() -> ([(&'static str, &'static str); 1], &'static str) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        ([("content-type", "application/json")], ANSWER)
    }
    let app = Router::new()
        .route("/v1/chat/completions", axum::routing::post(answer))
        .layer(CacheLayer::new().all());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    let client = hyper();
    for status in ["miss", "hit", "hit"] {
        let response = within(client.request(chat(&url, false).map(Payload::new)))
            .await
            .unwrap();
        assert_eq!(response.headers()["x-llm-cache"], status);
        assert_eq!(
            response.headers()["content-length"],
            ANSWER.len().to_string()
        );
        assert_eq!(within(text(response)).await, ANSWER);
    }
    assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    server.abort();
}
