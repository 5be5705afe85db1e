//! Reading what a call asks for, beside one bare typed pass of serde_json over the same fields.
//!
//! `cargo bench -p llm-exchange --bench facts`
#![allow(missing_docs, clippy::unwrap_used)]

use std::{borrow::Cow, hint::black_box};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::Request;
use http_body_util::Full;
use llm_exchange::Payload;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[allow(dead_code, reason = "read, as the crate reads them")]
struct Bare<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    max_completion_tokens: Option<u64>,
    max_tokens: Option<u64>,
    n: Option<u64>,
    stream: Option<bool>,
    #[serde(borrow)]
    safety_identifier: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
}

fn facts(c: &mut Criterion) {
    for size in [2 << 10, 50 << 10, 1 << 20] {
        let prompt = "All work and no play. ".repeat(size / 22);
        let body = Bytes::from(format!(
            r#"{{"model":"gpt-6-sol","messages":[{{"role":"user","content":"{prompt}"}}],"max_completion_tokens":400,"stream":true,"safety_identifier":"u_5f2c9e"}}"#
        ));
        let mut group = c.benchmark_group(format!("facts of a call of {} KiB", size >> 10));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("bare", |b| {
            b.iter(|| {
                drop(black_box(
                    serde_json::from_slice::<Bare<'_>>(&body).unwrap(),
                ))
            });
        });
        let request = || {
            Request::post("https://api.example.com/v1/chat/completions")
                .header("content-type", "application/json")
                .body(Full::new(body.clone()))
                .unwrap()
        };
        group.bench_function("Payload::read", |b| {
            b.iter_batched(
                request,
                |request| Payload::read(request, 16 << 20).now_or_never().unwrap(),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, facts);
criterion_main!(benches);
