//! What it costs to meter a stream, beside what `sse-core` needs merely to decode it.
//!
//! `cargo bench -p llm-exchange --bench meter`. The events are OpenAI's, about 280 bytes each, alike
//! but for their text as those of one stream are; "another shape" has a new id in each, so that every
//! event is decoded and parsed.

use std::{
    convert::Infallible,
    fmt::Write as _,
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use llm_exchange::{Call, Meter, Payload};
use sse_core::{SseDecoder, SseEvent};

const EVENTS: usize = 2_000;

fn stream(one_shape: bool) -> (Bytes, Vec<usize>) {
    let mut text = String::new();
    let mut ends = Vec::new();
    for i in 0..EVENTS {
        let id = if one_shape { 0 } else { i };
        write!(
            text,
            "data: {{\"id\":\"chatcmpl-B{id:08}\",\"object\":\"chat.completion.chunk\",\
             \"created\":1764000000,\"model\":\"gpt-6-sol-2026-09-22\",\
             \"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{i}\"}},\
             \"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
        )
        .expect("a String takes everything");
        ends.push(text.len());
    }
    (Bytes::from(text), ends)
}

/// Each chunk is its own allocation.
fn cut(stream: &Bytes, ends: impl IntoIterator<Item = usize>) -> Vec<Bytes> {
    let mut start = 0;
    let mut chunks = Vec::new();
    for end in ends {
        chunks.push(Bytes::copy_from_slice(&stream[start..end]));
        start = end;
    }
    chunks
}

struct Chunks(vec::IntoIter<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|chunk| Ok(Frame::data(chunk))))
    }
}

fn response(chunks: Vec<Bytes>) -> Response<Chunks> {
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Chunks(chunks.into_iter()))
        .expect("a response")
}

async fn pass<B: Body<Data = Bytes> + Unpin>(mut body: B) -> usize {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    bytes
}

fn metered(chunks: Vec<Bytes>, call: &Call) -> u64 {
    let (meter, response) = Meter::attach(response(chunks), call);
    black_box(pass(response.into_body()).now_or_never());
    assert_eq!(meter.contents(), EVENTS as u64);
    meter.output_tokens()
}

fn bare(chunks: Vec<Bytes>) -> usize {
    pass(response(chunks).into_body())
        .now_or_never()
        .expect("all is here")
}

fn sse_core(chunks: Vec<Bytes>) -> usize {
    let mut decoder = SseDecoder::new();
    let mut events = 0;
    for mut chunk in chunks {
        while let Some(Ok(event)) = decoder.next(&mut chunk) {
            if let SseEvent::Message(message) = event {
                black_box(&*message.data);
                events += 1;
            }
        }
    }
    assert_eq!(events, EVENTS);
    events
}

fn call() -> Arc<Call> {
    let request = Request::post("/v1/chat/completions")
        .body(Full::from(r#"{"model":"m","messages":[],"stream":true}"#))
        .expect("a request");
    let request = Payload::read(request, 1 << 20)
        .now_or_never()
        .expect("all is here");
    Arc::clone(Call::of(&request).expect("a call"))
}

fn meters(c: &mut Criterion) {
    let call = call();
    for (shape, one_shape) in [("one shape", true), ("another shape each", false)] {
        let (stream, ends) = stream(one_shape);
        for (cuts, chunks) in [
            ("one event per chunk", cut(&stream, ends)),
            (
                "16 KiB chunks",
                cut(
                    &stream,
                    (1..=stream.len().div_ceil(16 << 10))
                        .map(|n| (n * (16 << 10)).min(stream.len())),
                ),
            ),
        ] {
            let mut group = c.benchmark_group(format!("meter, {shape}, {cuts}"));
            group.throughput(Throughput::Elements(EVENTS as u64));
            // the chunks are kept, so that to free them is in nobody's time
            let batch = BatchSize::SmallInput;
            group.bench_function("bare", |b| {
                b.iter_batched(|| chunks.clone(), bare, batch);
            });
            group.bench_function("Meter", |b| {
                b.iter_batched(|| chunks.clone(), |chunks| metered(chunks, &call), batch);
            });
            group.bench_function("sse-core, decoding only", |b| {
                b.iter_batched(|| chunks.clone(), sse_core, batch);
            });
            group.finish();
        }
    }
}

criterion_group!(benches, meters);
criterion_main!(benches);
