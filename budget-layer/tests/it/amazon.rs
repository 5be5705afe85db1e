//! Streams in Amazon's frames: held to what is reserved, and charged by what they say at their end.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use budget_layer::BudgetLayer;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llm_exchange::{
    Cut, Dialect, End, Framing, Meter,
    stream::{DeltaReader, PieceReader},
};
use serde_json::{Value, json};

use crate::common::*;

const CONVERSE: &str =
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse-stream";
const INVOKE: &str = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-sonnet-5-5-v1%3A0/invoke-with-response-stream";
const WORDS: &str = " one two three four five six seven eight nine ten";

/// A frame of this kind, `event` or `exception`.
fn frame(kind: &str, name: &str, payload: &Value) -> Vec<u8> {
    let payload = payload.to_string();
    let mut headers = Vec::new();
    for (header, value) in [
        (format!(":{kind}-type"), name),
        (":message-type".into(), kind),
    ] {
        headers.push(header.len() as u8);
        headers.extend(header.as_bytes());
        headers.push(7);
        headers.extend((value.len() as u16).to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let whole = 12 + headers.len() + payload.len() + 4;
    let mut frame = Vec::new();
    frame.extend((whole as u32).to_be_bytes());
    frame.extend((headers.len() as u32).to_be_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload.as_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn event(name: &str, payload: Value) -> Vec<u8> {
    frame("event", name, &payload)
}

fn start() -> Vec<u8> {
    event("messageStart", json!({"role": "assistant"}))
}

fn words() -> Vec<u8> {
    event(
        "contentBlockDelta",
        json!({"contentBlockIndex": 0, "delta": {"text": WORDS}, "p": "abcd"}),
    )
}

fn stop() -> [Vec<u8>; 2] {
    [
        event("contentBlockStop", json!({"contentBlockIndex": 0})),
        event("messageStop", json!({"stopReason": "end_turn"})),
    ]
}

/// 20 tokens beside 3,000 that a cache had and 1,000 that it took in; 50 out.
fn metadata() -> Vec<u8> {
    event(
        "metadata",
        json!({
            "usage": {
                "inputTokens": 20,
                "outputTokens": 50,
                "totalTokens": 4070,
                "cacheReadInputTokens": 3000,
                "cacheWriteInputTokens": 1000,
            },
            "metrics": {"latencyMs": 200},
        }),
    )
}

fn answer(body: ScriptedBody) -> Answer {
    Answer::status(200)
        .header("content-type", "application/vnd.amazon.eventstream")
        .body(body)
}

fn conversation() -> Request<Full<Bytes>> {
    post(
        CONVERSE,
        r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
    )
}

async fn asked(
    layer: &BudgetLayer,
    body: ScriptedBody,
    request: Request<Full<Bytes>>,
) -> Response<impl Body<Data = Bytes, Error = BoxError>> {
    let script = Script::new().then(answer(body));
    let response = layer.layer(script).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// The payloads of a body, whose checksums are verified.
fn payloads(body: Bytes) -> Vec<Value> {
    let mut reader = PieceReader::new(Framing::EventStream);
    reader.push(body);
    let pieces: Vec<_> = std::iter::from_fn(|| reader.next_piece())
        .map(|piece| serde_json::from_slice(&piece.unwrap()).unwrap())
        .collect();
    assert_eq!(reader.finish().unwrap(), None);
    pieces
}

/// What a client reads of them: as one whole answer.
fn read(dialect: Dialect, payloads: &[Value]) -> DeltaReader {
    let mut reader = DeltaReader::new(dialect);
    for payload in payloads {
        reader.push_data(payload.to_string().as_bytes()).unwrap();
    }
    reader.finish().unwrap();
    reader
}

#[tokio::test(start_paused = true)]
async fn a_whole_stream_is_charged_by_what_comes_after_its_end() {
    let [block, message] = stop();
    let all = [start(), words(), words(), block, message, metadata()];
    // byte by byte, and frame by frame
    for body in [
        ScriptedBody::chunks(all.concat().chunks(1).map(<[u8]>::to_vec)),
        ScriptedBody::chunks(all.clone()),
    ] {
        let layer = daily(100_000);
        let response = asked(&layer, body, conversation()).await;
        let meter = Meter::of(&response).unwrap().clone();
        let passed = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(passed, all.concat());
        assert_eq!(meter.end(), Some(End::Complete));
        assert_eq!(alice(&layer.handle()).await, (4_070, 0));
        assert_eq!(layer.handle().stats().cut, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_interrupted_is_charged_by_what_passed() {
    let [block, message] = stop();
    let failed = || {
        let text = json!({"message": "Too many requests."});
        frame("exception", "throttlingException", &text)
    };
    let begun = || {
        ScriptedBody::new()
            .data(start())
            .data(words())
            .data(words())
    };
    for (name, body) in [
        ("reset", begun().error("reset")),
        ("an exception", begun().data(failed())),
        ("an early end", begun()),
        ("half a frame", begun().data(metadata()[..40].to_vec())),
        (
            "no metadata",
            begun()
                .data(block.clone())
                .data(message.clone())
                .error("reset"),
        ),
    ] {
        let layer = daily(100_000);
        let response = asked(&layer, body, conversation()).await;
        // a break is handed on
        let _ = response.into_body().collect().await;
        let (used, reserved) = alice(&layer.handle()).await;
        // the prompt's few tokens and twenty words, on the safe side
        assert!((21..=60).contains(&used), "{name}: {used}");
        assert_eq!(reserved, 0, "{name}");
    }
    // and so is one that its reader drops
    let layer = daily(100_000);
    let response = asked(&layer, begun().hang(), conversation()).await;
    let mut body = response.into_body();
    for _ in 0..3 {
        body.frame().await.unwrap().unwrap();
    }
    assert!(alice(&layer.handle()).await.1 > 1_000);
    drop(body);
    let (used, reserved) = alice(&layer.handle()).await;
    assert!((21..=60).contains(&used) && reserved == 0, "{used}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_comes_to_the_end_of_its_budget_ends_as_at_a_cap_of_amazons() {
    let layer = daily(2_000);
    let body = ScriptedBody::new().data(start());
    let body = (0..900).fold(body, |body, _| body.data(words()));
    let watch = body.watch();
    let response = asked(&layer, body, conversation()).await;
    let meter = Meter::of(&response).unwrap().clone();
    let passed = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!watch.is_alive());
    assert_eq!(meter.end(), Some(End::Cut(Cut::Limit)));
    let payloads = payloads(passed);
    let said = payloads.iter().filter(|one| one["delta"]["text"] == WORDS);
    let said = said.count();
    assert!((120..=199).contains(&said), "{said}");
    let [.., block, message, usage] = &payloads[..] else {
        panic!("{payloads:?}");
    };
    assert_eq!(block, &json!({"contentBlockIndex": 0}));
    assert_eq!(message["stopReason"], "max_tokens");
    let output = usage["usage"]["outputTokens"].as_u64().unwrap();
    assert!(output >= 10 * said as u64, "{usage}");
    let reader = read(Dialect::BedrockConverse, &payloads);
    assert_eq!(reader.finish_reasons().collect::<Vec<_>>(), ["max_tokens"]);
    let (used, reserved) = alice(&layer.handle()).await;
    assert!((10 * said as u64..=2_000).contains(&used), "{used}");
    assert_eq!((reserved, layer.handle().stats().cut), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_invoked_ends_in_its_vendors_events_and_is_charged_by_them() {
    let chunk = |inside: Value| {
        let bytes = STANDARD.encode(inside.to_string());
        event("chunk", json!({"bytes": bytes, "p": "abcd"}))
    };
    let start = [
        chunk(json!({"type": "message_start",
            "message": {"usage": {"input_tokens": 100, "output_tokens": 1}}})),
        chunk(json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}})),
    ];
    let words = chunk(json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": WORDS}}));
    let end = [
        chunk(
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 50}}),
        ),
        chunk(json!({"type": "message_stop"})),
    ];
    let request = || {
        let body = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":90000,"messages":[{"role":"user","content":"hi"}]}"#;
        post(INVOKE, body)
    };
    let layer = daily(100_000);
    let whole = start.iter().chain([&words]).chain(&end).cloned();
    let response = asked(&layer, ScriptedBody::chunks(whole), request()).await;
    response.into_body().collect().await.unwrap();
    assert_eq!(alice(&layer.handle()).await, (150, 0));

    let layer = daily(2_000);
    let body = ScriptedBody::chunks(start);
    let body = (0..900).fold(body, |body, _| body.data(words.clone()));
    let response = asked(&layer, body, request()).await;
    let passed = response.into_body().collect().await.unwrap().to_bytes();
    let payloads = payloads(passed);
    let reader = read(Dialect::AnthropicMessages, &payloads);
    assert_eq!(reader.finish_reasons().collect::<Vec<_>>(), ["max_tokens"]);
    let last: Vec<_> = payloads
        .iter()
        .rev()
        .take(3)
        .map(|one| &one["type"])
        .collect();
    assert_eq!(
        last,
        ["message_stop", "message_delta", "content_block_stop"]
    );
    let (used, reserved) = alice(&layer.handle()).await;
    // the model was told its cap: an estimate has a third more before it is cut there
    assert!((2_000..=2_700).contains(&used), "{used}");
    assert_eq!((reserved, layer.handle().stats().cut), (0, 1));
}
