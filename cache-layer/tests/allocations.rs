//! What a hit allocates, its key computed from the body, and what those allocate who share an answer.
//!
//! `cargo test -p cache-layer --features testkit/count-allocations --test allocations`
#![allow(unreachable_pub, dead_code, clippy::unwrap_used)]

#[path = "../benches/common/mod.rs"]
mod common;

use std::{convert::Infallible, time::Duration};

use cache_layer::CacheLayer;
use common::{Provider, drive, full, payload};
use futures_util::future::join_all;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use llm_exchange::Payload;
use testkit::alloc::count;
use tower::{Layer, ServiceExt, service_fn};

#[test]
fn a_hit_costs_at_most_twelve_allocations() {
    for streams in [false, true] {
        let mut service = CacheLayer::new().layer(Provider(streams));
        drive(&mut service, full(streams));
        let request = payload(streams);
        let read = count(|| drive(&mut service, request));
        let request = full(streams);
        let unread = count(|| drive(&mut service, request));
        println!("a hit: {unread:?}; of a request whose facts are read: {read:?}");
        assert!(unread.allocations <= 12, "{unread:?}");
        assert!(read.allocations <= 8, "{read:?}");
    }
}

/// Embeddings of 4 KB for each text, after a while.
async fn embed(request: Request<Payload>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let body: serde_json::Value = serde_json::from_slice(request.body().whole().unwrap()).unwrap();
    let texts = body["input"].as_array().unwrap().len();
    let vector = "0.25,".repeat(800);
    let data = (0..texts).map(|index| format!(r#"{{"index":{index},"embedding":[{vector}1]}}"#));
    let data = data.collect::<Vec<_>>().join(",");
    let answer = format!(r#"{{"data":[{data}],"model":"m","usage":{{"prompt_tokens":{texts}}}}}"#);
    let mut response = Response::new(Full::from(answer));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

fn of_texts(texts: impl Iterator<Item = usize>) -> Request<Full<bytes::Bytes>> {
    let texts: Vec<_> = texts.map(|text| format!("\"text {text}\"")).collect();
    let body = format!(r#"{{"model":"m","input":[{}]}}"#, texts.join(","));
    let mut request = full(false);
    *request.uri_mut() = "https://api.example.com/v1/embeddings".parse().unwrap();
    *request.body_mut() = Full::from(body);
    request
}

#[test]
fn who_waits_for_one_text_of_anothers_batch_copies_no_batch() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    // of the batch alone, then with twenty who want a text of it each
    let [alone, together] = [0, 20].map(|followers| {
        let service = CacheLayer::new().layer(service_fn(embed));
        let calls = std::iter::once(of_texts(0..256))
            .chain((0..followers).map(|text| of_texts(text..text + 1)));
        let calls: Vec<_> = calls
            .map(|request| {
                let service = service.clone();
                async move {
                    let response = service.oneshot(request).await.unwrap();
                    response.into_body().collect().await.unwrap();
                }
            })
            .collect();
        count(|| runtime.block_on(join_all(calls)))
    });
    println!("alone: {alone:?}; with twenty: {together:?}");
    // an answer of 1 MB: each of them allocates a small part of that
    let each = (together.bytes - alone.bytes) / 20;
    assert!(each < 200_000, "{each} bytes each");
}
