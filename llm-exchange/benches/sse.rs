//! The SSE decoder against `sse-core`, on OpenAI-shaped events of about 280 bytes.
//!
//! Both take the same chunks and read name and data of every event. The chunks are kept for the next
//! run, so that to free them is in neither's time.

use std::{fmt::Write as _, hint::black_box};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use llm_exchange::sse::Decoder;
use sse_core::{SseDecoder, SseEvent};

const EVENTS: usize = 2_000;

fn stream() -> (Bytes, Vec<usize>) {
    let mut text = String::new();
    let mut ends = Vec::new();
    for i in 0..EVENTS {
        write!(
            text,
            "data: {{\"id\":\"chatcmpl-B{i:08}\",\"object\":\"chat.completion.chunk\",\
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

fn ours(chunks: Vec<Bytes>) -> usize {
    let mut decoder = Decoder::new();
    let mut events = 0;
    for chunk in chunks {
        decoder.push(chunk);
        while let Some(event) = decoder.next_event() {
            let Ok(event) = event else { continue };
            black_box(&*event.name());
            black_box(event.data().as_deref());
            events += 1;
        }
    }
    events
}

fn peer(chunks: Vec<Bytes>) -> usize {
    let mut decoder = SseDecoder::new();
    let mut events = 0;
    for mut chunk in chunks {
        while let Some(event) = decoder.next(&mut chunk) {
            if let Ok(SseEvent::Message(message)) = event {
                black_box(&*message.event);
                black_box(Some(message.data.as_bytes()));
                events += 1;
            }
        }
    }
    events
}

fn compare(c: &mut Criterion) {
    let (stream, ends) = stream();
    let every = |bytes: usize| {
        let len = stream.len();
        (bytes..len).step_by(bytes).chain([len])
    };
    let cases = [
        ("sse/one event per chunk", cut(&stream, ends)),
        ("sse/1460 B chunks", cut(&stream, every(1460))),
        ("sse/16 KiB chunks", cut(&stream, every(16 << 10))),
    ];
    for (name, chunks) in cases {
        assert_eq!(
            (ours(chunks.clone()), peer(chunks.clone())),
            (EVENTS, EVENTS)
        );
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(EVENTS as u64));
        for (row, decode) in [("llm-exchange", ours as fn(_) -> _), ("sse-core", peer)] {
            group.bench_function(row, |b| {
                b.iter_batched(|| chunks.clone(), decode, BatchSize::LargeInput);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);
