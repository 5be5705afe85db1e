//! Amazon Bedrock: Converse, and Anthropic's models invoked; streams are binary frames.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes};
use fake_provider::FakeProvider;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::client::{ask, send, start};

const CONVERSE: &str = "/model/us.anthropic.claude-sonnet-5-5-v1%3A0/converse";
const INVOKE: &str = "/model/anthropic.claude-sonnet-5-5-v1:0/invoke";

fn conversation() -> Value {
    json!({
        "system": [{"text": "be terse"}],
        "messages": [{"role": "user", "content": [{"text": "one two three"}]}],
    })
}

fn invoked() -> Value {
    json!({
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "one two three"}],
    })
}

/// One frame: its headers, and its payload.
#[derive(Debug)]
struct Frame {
    headers: Vec<(String, String)>,
    payload: Value,
}

impl Frame {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(of, _)| of == name);
        found.map_or("", |(_, value)| value)
    }

    fn event(&self) -> &str {
        self.header(":event-type")
    }
}

/// All frames of a body, whose checksums are right.
fn frames(mut body: Bytes) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        let whole = usize::try_from(body.clone().get_u32()).unwrap();
        let mut frame = body.split_to(whole);
        let checksum = frame.split_off(whole - 4).get_u32();
        assert_eq!(checksum, crc32fast::hash(&frame));
        let prelude = crc32fast::hash(&frame[..8]);
        frame.advance(4);
        let length = usize::try_from(frame.get_u32()).unwrap();
        assert_eq!(frame.get_u32(), prelude);
        let mut rest = frame.split_to(length);
        let mut headers = Vec::new();
        while rest.has_remaining() {
            let length = usize::from(rest.get_u8());
            let name = rest.split_to(length);
            assert_eq!(rest.get_u8(), 7, "a text");
            let length = usize::from(rest.get_u16());
            let value = rest.split_to(length);
            let text = |bytes: Bytes| String::from_utf8(bytes.into()).unwrap();
            headers.push((text(name), text(value)));
        }
        frames.push(Frame {
            headers,
            payload: serde_json::from_slice(&frame).unwrap(),
        });
    }
    frames
}

/// The frames of a streamed answer; whether its body ended as HTTP says it should.
async fn stream(fake: &FakeProvider, path: &str, script: &str, body: &Value) -> (Vec<Frame>, bool) {
    let response = send(fake, path, script, body).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "application/vnd.amazon.eventstream"
    );
    let mut body = response.into_body();
    let mut read = Vec::new();
    let whole = loop {
        match body.frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().unwrap()),
        }
    };
    (frames(read.into()), whole)
}

async fn conversed(fake: &FakeProvider, script: &str) -> (Vec<Frame>, bool) {
    stream(fake, &format!("{CONVERSE}-stream"), script, &conversation()).await
}

#[tokio::test]
async fn converse_answers_at_once_with_the_model_of_its_path() {
    let fake = start().await;
    let read = ask(&fake, CONVERSE, "reasoning=2", &conversation()).await;
    assert_eq!(read.header("content-type"), Some("application/json"));
    assert!(read.header("x-amzn-requestid").is_some());
    let json = read.json();
    let content = &json["output"]["message"]["content"];
    let thought = &content[0]["reasoningContent"]["reasoningText"]["text"];
    assert_eq!(thought, "thought-1 thought-2 ");
    assert_eq!(content[1]["text"], "echo: one two three");
    assert_eq!(json["stopReason"], "end_turn");
    let usage = &json["usage"];
    assert_eq!(
        (
            &usage["inputTokens"],
            &usage["outputTokens"],
            &usage["totalTokens"]
        ),
        (&json!(5), &json!(6), &json!(11))
    );
    let asked = fake.log().remove(0).model;
    assert_eq!(
        asked.as_deref(),
        Some("us.anthropic.claude-sonnet-5-5-v1:0")
    );
    let mut capped = conversation();
    capped["inferenceConfig"] = json!({"maxTokens": 2});
    let json = ask(&fake, CONVERSE, "", &capped).await.json();
    assert_eq!(json["stopReason"], "max_tokens");
}

#[tokio::test]
async fn converse_streams_frames_and_tells_its_usage_after_the_end() {
    let fake = start().await;
    let (frames, whole) = conversed(&fake, "reasoning=1,deltas=2,segment=7").await;
    assert!(whole);
    let names: Vec<_> = frames.iter().map(Frame::event).collect();
    assert_eq!(
        names,
        [
            "messageStart",
            "contentBlockDelta",
            "contentBlockDelta",
            "contentBlockStop",
            "contentBlockDelta",
            "contentBlockDelta",
            "contentBlockStop",
            "messageStop",
            "metadata",
        ]
    );
    for frame in &frames {
        assert_eq!(frame.header(":message-type"), "event");
        assert_eq!(frame.header(":content-type"), "application/json");
    }
    let index = |at: usize| &frames[at].payload["contentBlockIndex"];
    assert_eq!((index(3), index(4)), (&json!(0), &json!(1)));
    assert!(frames[2].payload["delta"]["reasoningContent"]["signature"].is_string());
    assert_eq!(frames[4].payload["delta"]["text"], "echo: ");
    assert_eq!(frames[7].payload["stopReason"], "end_turn");
    assert_eq!(frames[8].payload["usage"]["outputTokens"], 3);
}

#[tokio::test]
async fn a_tool_is_the_only_block_of_converse_that_has_a_start() {
    let fake = start().await;
    let (frames, _) = conversed(&fake, "tool").await;
    assert_eq!(frames[1].event(), "contentBlockStart");
    let tool = &frames[1].payload["start"]["toolUse"];
    assert_eq!(tool["name"], "lookup");
    let input = |frame: &Frame| {
        let delta = &frame.payload["delta"]["toolUse"]["input"];
        delta.as_str().map(str::to_owned)
    };
    let input: String = frames.iter().filter_map(input).collect();
    let input: Value = serde_json::from_str(&input).unwrap();
    assert_eq!(input["q"], "echo: one two three");
    let json = ask(&fake, CONVERSE, "tool", &conversation()).await.json();
    assert_eq!(json["stopReason"], "tool_use");
    let called = &json["output"]["message"]["content"][0]["toolUse"];
    assert_eq!(called["input"], input);
}

#[tokio::test]
async fn an_invoked_model_answers_in_anthropics_format_and_its_events_are_wrapped() {
    let fake = start().await;
    let json = ask(&fake, INVOKE, "", &invoked()).await.json();
    assert_eq!(json["content"][0]["text"], "echo: one two three");
    assert_eq!(json["model"], "anthropic.claude-sonnet-5-5-v1:0");

    let path = format!("{INVOKE}-with-response-stream");
    let (frames, whole) = stream(&fake, &path, "deltas=2", &invoked()).await;
    assert!(whole && frames.iter().all(|frame| frame.event() == "chunk"));
    let unwrapped = |frame: &Frame| -> Value {
        let bytes = STANDARD.decode(frame.payload["bytes"].as_str().unwrap());
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    };
    let events: Vec<_> = frames.iter().map(unwrapped).collect();
    assert_eq!(events[0]["type"], "message_start");
    assert_eq!(events[2]["delta"]["text"], "echo: ");
    let last = events.last().unwrap();
    assert_eq!(last["type"], "message_stop");
    let metrics = &last["amazon-bedrock-invocationMetrics"];
    assert_eq!(metrics["outputTokenCount"], 2);

    let other = "/model/meta.llama3/invoke";
    assert_eq!(ask(&fake, other, "", &invoked()).await.status, 404);
    let mut without = invoked();
    without["anthropic_version"] = Value::Null;
    assert_eq!(ask(&fake, INVOKE, "", &without).await.status, 400);
}

#[tokio::test]
async fn errors_have_their_type_in_a_header() {
    let fake = start().await;
    for (script, status, name) in [
        ("throttle,retry-after=2", 429, "ThrottlingException"),
        ("quota", 400, "ServiceQuotaExceededException"),
        ("overloaded", 503, "ServiceUnavailableException"),
        ("fail", 500, "InternalServerException"),
        ("context-length", 400, "ValidationException"),
        ("status=424", 424, "ModelErrorException"),
        ("key=k", 403, "UnrecognizedClientException"),
    ] {
        for path in [CONVERSE, INVOKE] {
            let read = ask(&fake, path, script, &conversation()).await;
            assert_eq!(read.status, status, "{script}");
            let header = read.header("x-amzn-errortype").unwrap();
            assert_eq!(header.split(':').next(), Some(name), "{script}");
            assert!(read.json()["message"].is_string());
        }
    }
    let read = ask(&fake, CONVERSE, "throttle,retry-after=2", &conversation()).await;
    assert_eq!(read.header("retry-after"), Some("2"));
    let read = ask(&fake, CONVERSE, "", &json!({"messages": []})).await;
    assert_eq!(read.status, 400);
}

#[tokio::test]
async fn a_stream_goes_wrong_by_an_exception_by_a_cut_or_by_its_end() {
    let fake = start().await;
    for (script, name) in [
        ("", "serviceUnavailableException"),
        (",err-status=429", "throttlingException"),
        (",err-status=500", "internalServerException"),
        (",err-status=424", "modelStreamErrorException"),
        (",err-status=400", "validationException"),
    ] {
        for (at, before) in [("0", 0), ("open", 1), ("2", 3)] {
            let (frames, whole) = conversed(&fake, &format!("err-at={at}{script}")).await;
            assert!(whole);
            assert_eq!(frames.len(), before + 1, "{at}{script}");
            let last = frames.last().unwrap();
            assert_eq!(last.header(":message-type"), "exception");
            assert_eq!(last.header(":exception-type"), name);
            assert!(last.payload["message"].is_string());
            let status = &last.payload["originalStatusCode"];
            assert_eq!(status.is_number(), name == "modelStreamErrorException");
        }
    }
    let (frames, whole) = conversed(&fake, "break-at=2").await;
    assert_eq!((frames.len(), whole), (3, false));
    let (frames, whole) = conversed(&fake, "end-at=2").await;
    assert_eq!((frames.len(), whole), (3, true));
    let (frames, _) = conversed(&fake, "no-usage").await;
    assert_eq!(frames.last().unwrap().payload["usage"], Value::Null);
}
