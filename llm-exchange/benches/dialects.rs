//! What it costs to read the usage out of a stream of each dialect, per event, beside a reader that
//! parses every event to a `serde_json::Value` and looks the usage up (of Amazon's frames the payload,
//! without a look at their checksums; over gRPC it decodes by prost, to the few fields it needs).
//!
//! `cargo bench -p llm-exchange --bench dialects`. A stream has 2,000 content events, one a chunk as they
//! come from a socket, each with running usage where the dialect sends that, and its usual end.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    convert::Infallible,
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use llm_exchange::{Call, End, Meter, Payload};
use prost::Message;
use serde_json::{Value, json};

const EVENTS: usize = 2_000;
const WORDS: u64 = EVENTS as u64;

struct Stream {
    name: &'static str,
    path: &'static str,
    media_type: &'static str,
    request: Bytes,
    chunks: Vec<Bytes>,
    /// Of the last event that has one; of what frames it only its own bytes are given.
    usage: fn(&[u8]) -> Option<u64>,
}

fn sse(json: &Value) -> Bytes {
    format!("data: {json}\n\n").into()
}

fn named(json: &Value) -> Bytes {
    let name = json["type"].as_str().unwrap();
    format!("event: {name}\ndata: {json}\n\n").into()
}

fn words(event: impl Fn(u64) -> Bytes) -> Vec<Bytes> {
    (1..=WORDS).map(event).collect()
}

/// The data of the one SSE event in a chunk.
fn data(chunk: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(chunk).ok()?;
    let data = text.lines().find_map(|line| line.strip_prefix("data: "))?;
    serde_json::from_str(data).ok()
}

fn openai_chat() -> Stream {
    let chunk = |choice: Value| json!({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
    let mut chunks = words(|n| {
        sse(&chunk(
            json!({"index": 0, "delta": {"content": format!(" word{n}")}, "finish_reason": null}),
        ))
    });
    chunks.push(sse(&chunk(
        json!({"index": 0, "delta": {}, "finish_reason": "stop"}),
    )));
    chunks.push(sse(
        &json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": WORDS}}),
    ));
    chunks.push("data: [DONE]\n\n".into());
    Stream {
        name: "openai_chat",
        path: "/v1/chat/completions",
        media_type: "text/event-stream",
        request: r#"{"stream":true}"#.into(),
        chunks,
        usage: |chunk| data(chunk)?["usage"]["completion_tokens"].as_u64(),
    }
}

fn openai_responses() -> Stream {
    let mut chunks = words(|n| {
        named(
            &json!({"type": "response.output_text.delta", "sequence_number": n, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": format!(" word{n}")}),
        )
    });
    chunks.push(named(&json!({"type": "response.completed", "response": {"status": "completed", "usage": {"input_tokens": 9, "output_tokens": WORDS}}})));
    Stream {
        name: "openai_responses",
        path: "/v1/responses",
        media_type: "text/event-stream",
        request: r#"{"stream":true}"#.into(),
        chunks,
        usage: |chunk| data(chunk)?["response"]["usage"]["output_tokens"].as_u64(),
    }
}

fn anthropic() -> Stream {
    let mut chunks = words(|n| {
        named(
            &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": format!(" word{n}")}}),
        )
    });
    chunks.push(named(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": WORDS}})));
    chunks.push(named(&json!({"type": "message_stop"})));
    Stream {
        name: "anthropic_messages",
        path: "/v1/messages",
        media_type: "text/event-stream",
        request: r#"{"stream":true}"#.into(),
        chunks,
        usage: |chunk| data(chunk)?["usage"]["output_tokens"].as_u64(),
    }
}

fn gemini_chunk(n: u64) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": [{"text": format!(" word{n}")}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": n, "totalTokenCount": 9 + n},
        "modelVersion": "flash", "responseId": "r1"})
}

fn gemini_end() -> Value {
    let mut end = gemini_chunk(WORDS);
    end["candidates"][0]["finishReason"] = "STOP".into();
    end
}

fn gemini() -> Stream {
    let mut chunks = words(|n| sse(&gemini_chunk(n)));
    chunks.push(sse(&gemini_end()));
    Stream {
        name: "gemini",
        path: "/v1beta/models/flash:streamGenerateContent?alt=sse",
        media_type: "text/event-stream",
        request: "{}".into(),
        chunks,
        usage: |chunk| data(chunk)?["usageMetadata"]["candidatesTokenCount"].as_u64(),
    }
}

fn gemini_array() -> Stream {
    let mut chunks = words(|n| {
        let before = if n == 1 { "[" } else { ",\r\n" };
        format!("{before}{}", gemini_chunk(n)).into()
    });
    chunks.push(format!(",\r\n{}\r\n]", gemini_end()).into());
    Stream {
        name: "gemini (array)",
        path: "/v1beta/models/flash:streamGenerateContent",
        media_type: "application/json",
        request: "{}".into(),
        chunks,
        usage: |chunk| {
            let text = std::str::from_utf8(chunk).ok()?;
            let element = text.trim_matches(['[', ',', '\r', '\n', ']']);
            let json: Value = serde_json::from_str(element).ok()?;
            json["usageMetadata"]["candidatesTokenCount"].as_u64()
        },
    }
}

fn ollama() -> Stream {
    let mut chunks = words(|n| {
        let line = json!({"model": "llama", "created_at": "2026-11-23T10:00:00.1Z", "message": {"role": "assistant", "content": format!(" word{n}")}, "done": false});
        format!("{line}\n").into()
    });
    let end = json!({"model": "llama", "message": {"content": ""}, "done": true, "done_reason": "stop", "eval_count": WORDS});
    chunks.push(format!("{end}\n").into());
    Stream {
        name: "ollama",
        path: "/api/chat",
        media_type: "application/x-ndjson",
        request: "{}".into(),
        chunks,
        usage: |line| serde_json::from_slice::<Value>(line).ok()?["eval_count"].as_u64(),
    }
}

fn openai_completions() -> Stream {
    let chunk = |choices: Value, usage: Value| {
        sse(
            &json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
            "choices": choices, "usage": usage}),
        )
    };
    let choice = |text: String, finish: Value| json!([{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}]);
    let mut chunks = words(|n| chunk(choice(format!(" word{n}"), Value::Null), Value::Null));
    chunks.push(chunk(choice(String::new(), json!("stop")), Value::Null));
    chunks.push(chunk(
        json!([]),
        json!({"prompt_tokens": 9, "completion_tokens": WORDS, "total_tokens": 9 + WORDS}),
    ));
    chunks.push("data: [DONE]\n\n".into());
    Stream {
        name: "openai_completions",
        path: "/v1/completions",
        media_type: "text/event-stream",
        request: r#"{"model":"m","stream":true}"#.into(),
        chunks,
        usage: |chunk| data(chunk)?["usage"]["completion_tokens"].as_u64(),
    }
}

/// A frame of Amazon's event stream.
fn frame(name: &str, payload: &Value) -> Bytes {
    let payload = payload.to_string();
    let mut headers = Vec::new();
    for (name, value) in [
        (":event-type", name),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ] {
        headers.extend([&[name.len() as u8], name.as_bytes(), &[7, 0]].concat());
        headers.extend([&[value.len() as u8], value.as_bytes()].concat());
    }
    let lengths = [16 + headers.len() + payload.len(), headers.len()];
    let mut frame = lengths.map(|length| (length as u32).to_be_bytes()).concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend([&headers, payload.as_bytes()].concat());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.into()
}

fn converse() -> Stream {
    let mut chunks = vec![frame("messageStart", &json!({"role": "assistant"}))];
    chunks.extend(words(|n| {
        let delta = json!({"text": format!(" word{n}")});
        frame(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 0, "delta": delta}),
        )
    }));
    chunks.push(frame("contentBlockStop", &json!({"contentBlockIndex": 0})));
    chunks.push(frame("messageStop", &json!({"stopReason": "end_turn"})));
    let usage = json!({"inputTokens": 9, "outputTokens": WORDS, "totalTokens": 9 + WORDS});
    chunks.push(frame(
        "metadata",
        &json!({"usage": usage, "metrics": {"latencyMs": 9}}),
    ));
    Stream {
        name: "bedrock_converse",
        path: "/model/amazon.nova-pro-v1:0/converse-stream",
        media_type: "application/vnd.amazon.eventstream",
        request: "{}".into(),
        chunks,
        usage: |frame| {
            let event: Value = serde_json::from_slice(payload(frame)?).ok()?;
            event["usage"]["outputTokens"].as_u64()
        },
    }
}

/// The payload of such a frame.
fn payload(frame: &[u8]) -> Option<&[u8]> {
    let headers = u32::from_be_bytes(frame.get(4..8)?.try_into().ok()?) as usize;
    frame.get(12 + headers..frame.len() - 4)
}

/// Anthropic's events as Bedrock wraps them.
fn anthropic_on_bedrock() -> Stream {
    let wrapped = |event: &Value| {
        let bytes = STANDARD.encode(event.to_string());
        frame("chunk", &json!({"bytes": bytes, "p": "abcdefghij"}))
    };
    let mut chunks = words(|n| {
        wrapped(
            &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": format!(" word{n}")}}),
        )
    });
    chunks.push(wrapped(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": WORDS}})));
    chunks.push(wrapped(&json!({"type": "message_stop"})));
    Stream {
        name: "anthropic_messages (Bedrock)",
        path: "/model/anthropic.claude-v1:0/invoke-with-response-stream",
        media_type: "application/vnd.amazon.eventstream",
        request: "{}".into(),
        chunks,
        usage: |frame| {
            let wrapped: Value = serde_json::from_slice(payload(frame)?).ok()?;
            let event = STANDARD.decode(wrapped["bytes"].as_str()?).ok()?;
            let event: Value = serde_json::from_slice(&event).ok()?;
            event["usage"]["output_tokens"].as_u64()
        },
    }
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// The same stream in either of Google's numberings.
macro_rules! grpc {
    ($function:ident, $protos:ident, $name:literal, $service:literal) => {
        fn $function() -> Stream {
            use google_protos::$protos::{
                Candidate, Content, GenerateContentResponse, Part, UsageMetadata,
            };

            let message = |n: u64, finish: i32| {
                let part = Part {
                    text: Some(format!(" word{n}")),
                    ..Part::default()
                };
                let candidate = Candidate {
                    content: Some(Content {
                        parts: vec![part],
                        role: "model".into(),
                    }),
                    finish_reason: finish,
                    index: 0,
                };
                let count = i32::try_from(n).unwrap();
                let usage = UsageMetadata {
                    prompt_token_count: 9,
                    candidates_token_count: count,
                    total_token_count: 9 + count,
                    ..UsageMetadata::default()
                };
                let response = GenerateContentResponse {
                    candidates: vec![candidate],
                    usage_metadata: Some(usage),
                    model_version: "flash".into(),
                    response_id: "r1".into(),
                    ..GenerateContentResponse::default()
                };
                framed(&response.encode_to_vec())
            };
            let mut chunks = words(|n| message(n, 0));
            chunks.push(message(WORDS, 1));
            Stream {
                name: $name,
                path: concat!("/", $service, "/StreamGenerateContent"),
                media_type: "application/grpc",
                request: framed(&[]),
                chunks,
                usage: |frame| {
                    let response = GenerateContentResponse::decode(frame.get(5..)?).ok()?;
                    u64::try_from(response.usage_metadata?.candidates_token_count).ok()
                },
            }
        }
    };
}

grpc!(
    gemini_grpc,
    generativelanguage,
    "gemini_grpc",
    "google.ai.generativelanguage.v1beta.GenerativeService"
);
grpc!(
    vertex_grpc,
    aiplatform,
    "vertex_grpc",
    "google.cloud.aiplatform.v1.PredictionService"
);

struct Chunks {
    chunks: vec::IntoIter<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.chunks.next() {
            Some(chunk) => Some(Frame::data(chunk)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }
}

impl Stream {
    fn call(&self) -> Arc<Call> {
        let kind = match self.media_type {
            "application/grpc" => "application/grpc",
            _ => "application/json",
        };
        let request = Request::post(self.path)
            .header("content-type", kind)
            .body(Full::new(self.request.clone()))
            .unwrap();
        let request = Payload::read(request, 1 << 20).now_or_never().unwrap();
        Arc::clone(Call::of(&request).unwrap())
    }

    fn response(&self) -> Response<Chunks> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let is_grpc = self.media_type == "application/grpc";
        Response::builder()
            .header("content-type", self.media_type)
            .body(Chunks {
                chunks: self.chunks.clone().into_iter(),
                trailers: is_grpc.then_some(trailers),
            })
            .unwrap()
    }
}

async fn drain<B: Body<Data = Bytes> + Unpin>(mut body: B) -> usize {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    bytes
}

fn metered(response: Response<Chunks>, call: &Call) -> u64 {
    let (meter, response) = Meter::attach(response, call);
    drain(response.into_body()).now_or_never().unwrap();
    assert_eq!(meter.end(), Some(End::Complete));
    meter.usage().unwrap().output()
}

fn naive(chunks: &[Bytes], usage: fn(&[u8]) -> Option<u64>) -> u64 {
    let mut last = 0;
    for chunk in chunks {
        last = usage(chunk).unwrap_or(last);
    }
    last
}

fn dialects(c: &mut Criterion) {
    let streams = [
        openai_chat(),
        openai_responses(),
        openai_completions(),
        anthropic(),
        gemini(),
        gemini_array(),
        ollama(),
        converse(),
        anthropic_on_bedrock(),
        gemini_grpc(),
        vertex_grpc(),
    ];
    for stream in streams {
        let call = stream.call();
        assert_eq!(metered(stream.response(), &call), WORDS, "{}", stream.name);
        assert_eq!(
            naive(&stream.chunks, stream.usage),
            WORDS,
            "{}",
            stream.name
        );
        let mut group = c.benchmark_group(format!("usage out of a stream: {}", stream.name));
        group.throughput(Throughput::Elements(stream.chunks.len() as u64));
        group.bench_function("passing unread", |b| {
            b.iter_batched(
                || stream.response(),
                |response| black_box(drain(response.into_body()).now_or_never()),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("Meter", |b| {
            b.iter_batched(
                || stream.response(),
                |response| black_box(metered(response, &call)),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("parsed whole", |b| {
            b.iter(|| black_box(naive(&stream.chunks, stream.usage)));
        });
        group.finish();
    }
}

criterion_group!(benches, dialects);
criterion_main!(benches);
