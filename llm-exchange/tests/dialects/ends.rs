//! A stream of any dialect that reaches a number of tokens or fails, and how it ends there.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use http_body_util::BodyExt;
use llm_exchange::{
    Call, Dialect, End, ErrorAnswer, FinishReason, Framing, Meter, Reached, Verdict,
    stream::PieceReader,
};
use serde_json::{Value, json};

use crate::grpc::amazon;
use crate::requests::{field, varint};
use crate::support::{Chunks, call, chunks, framed, met, request, response};

/// A dialect's stream in one of its framings.
#[derive(Clone, Copy, Debug)]
struct Streamed(Dialect, &'static str);

const SSE: &str = "text/event-stream";
const AMAZON: &str = "application/vnd.amazon.eventstream";
const GRPC: &str = "application/grpc";

const STREAMED: [Streamed; 9] = [
    Streamed(Dialect::OpenAiResponses, SSE),
    Streamed(Dialect::OpenAiCompletions, SSE),
    Streamed(Dialect::Gemini, SSE),
    Streamed(Dialect::Gemini, "application/json"),
    Streamed(Dialect::Ollama, "application/x-ndjson"),
    Streamed(Dialect::BedrockConverse, AMAZON),
    Streamed(Dialect::AnthropicMessages, AMAZON),
    Streamed(Dialect::GeminiGrpc, GRPC),
    Streamed(Dialect::VertexGrpc, GRPC),
];

impl Streamed {
    /// Six events of a word each, a word being a token.
    fn words(self) -> Vec<Vec<u8>> {
        let words = [" one", " two", " three", " four", " five", " six"];
        let words = words.iter().enumerate();
        words.map(|(at, word)| self.event(at, word)).collect()
    }

    fn event(self, at: usize, word: &str) -> Vec<u8> {
        let data = |json: Value| format!("data: {json}\n\n").into_bytes();
        let gemini = json!({"candidates": [{"index": 0, "content": {"parts": [{"text": word}]}}]});
        match self {
            Self(Dialect::OpenAiResponses, _) => data(json!({"type": "response.output_text.delta",
                    "sequence_number": 4, "delta": word})),
            Self(Dialect::OpenAiCompletions, _) => {
                data(json!({"id": "c", "model": "m", "choices": [{"index": 0, "text": word}]}))
            }
            Self(Dialect::Gemini, SSE) => data(gemini),
            Self(Dialect::Gemini, _) => {
                format!("{}{gemini}", if at == 0 { "[" } else { ",\r\n" }).into_bytes()
            }
            Self(Dialect::Ollama, _) => {
                let line = json!({"model": "m", "message": {"content": word}, "done": false});
                format!("{line}\n").into_bytes()
            }
            Self(Dialect::BedrockConverse, _) => {
                let delta = json!({"contentBlockIndex": 3, "delta": {"text": word}});
                frame("contentBlockDelta", &delta.to_string())
            }
            Self(Dialect::AnthropicMessages, _) => {
                let event = if at == 0 {
                    json!({"type": "content_block_start", "index": 0,
                        "content_block": {"type": "text", "text": word}})
                } else {
                    json!({"type": "content_block_delta", "index": 0,
                        "delta": {"type": "text_delta", "text": word}})
                };
                let bytes = STANDARD.encode(event.to_string());
                frame("chunk", &json!({ "bytes": bytes }).to_string())
            }
            Self(Dialect::GeminiGrpc, _) => {
                let content = field(1, &field(1, &field(2, word.as_bytes())));
                framed(&field(1, &[content, varint(3, 0)].concat())).to_vec()
            }
            Self(Dialect::VertexGrpc, _) => {
                let content = field(2, &field(2, &field(1, word.as_bytes())));
                framed(&field(2, &[content, varint(1, 0)].concat())).to_vec()
            }
            other => panic!("{other:?}"),
        }
    }

    fn call(self) -> Arc<Call> {
        match self {
            Self(Dialect::AnthropicMessages, AMAZON) => {
                let path = "/model/anthropic.claude/invoke-with-response-stream";
                let request = request(self.0, path, "{}");
                Arc::clone(Call::of(&request).unwrap())
            }
            _ => call(self.0, true),
        }
    }

    async fn watched(self, parts: Vec<Vec<u8>>, tokens: u64) -> Meter {
        let call = self.call();
        call.attempts().watch_output(tokens);
        let (meter, answer) = Meter::attach(response(self.1, Chunks::chunks(parts)), &call);
        let _ = answer.into_body().collect().await;
        meter
    }
}

fn frame(name: &str, payload: &str) -> Vec<u8> {
    let headers = [(":message-type", "event"), (":event-type", name)];
    amazon(&headers, payload.as_bytes())
}

#[tokio::test]
async fn a_number_of_tokens_is_reached_at_the_same_event_however_the_stream_is_cut() {
    for stream in STREAMED {
        let events = stream.words();
        let body = events.concat();
        let place = events[..3].concat().len() as u64;
        let bytes = body.chunks(1).map(<[u8]>::to_vec).collect();
        for parts in [vec![body.clone()], bytes, events] {
            let meter = stream.watched(parts, 3).await;
            let reached = meter.reached(3).unwrap_or_else(|| panic!("{stream:?}"));
            assert_eq!(
                (reached.at(), reached.tokens().output),
                (place, 3),
                "{stream:?}"
            );
            assert!(meter.reached(4).is_none(), "it is not watched for");
        }
    }
}

#[tokio::test]
async fn the_stream_that_is_ended_there_is_whole_and_was_cut_by_its_length() {
    for stream in STREAMED {
        let events = stream.words();
        let meter = stream.watched(vec![events.concat()], 3).await;
        let reached = meter.reached(3).unwrap();
        let parts = [events[..3].concat(), reached.ending(true).to_vec()].concat();
        let trailers = reached.trailers();
        assert_eq!(trailers.is_some(), stream.0.is_grpc());
        let body = chunks(vec![parts], trailers.as_ref());
        let ended = met(stream.1, body, &stream.call()).await;
        assert_eq!(ended.end(), Some(End::Complete), "{stream:?}");
        assert_eq!(ended.finish(), Some(FinishReason::Length), "{stream:?}");
        assert_eq!(ended.verdict(), Verdict::Ok);
        assert_eq!(ended.usage().unwrap().output(), 3, "{stream:?}");
    }
}

#[tokio::test]
async fn a_stream_that_fails_after_any_event_ends_in_an_error_that_is_read() {
    let error = ErrorAnswer::new(StatusCode::GATEWAY_TIMEOUT, "stream_timeout", "late");
    for stream in STREAMED {
        let events = stream.words();
        for whole in 0..events.len() {
            let parts = events[..whole].concat();
            let (meter, _) = Meter::attach(response(stream.1, Chunks::default()), &stream.call());
            let framing = meter.framing().unwrap();
            let ending = error.in_framing(stream.0, framing, whole > 0);
            let trailers = stream.0.is_grpc().then(|| error.trailers());
            let body = chunks(vec![parts, ending.to_vec()], trailers.as_ref());
            let ended = met(stream.1, body, &stream.call()).await;
            assert_eq!(ended.end(), Some(End::Errored), "{stream:?}");
            assert_eq!(ended.error().unwrap().message(), Some("late"), "{stream:?}");
        }
    }
}

#[tokio::test]
async fn an_array_is_one_whatever_came_before_its_end() {
    let array = Streamed(Dialect::Gemini, "application/json");
    let error = ErrorAnswer::new(StatusCode::BAD_GATEWAY, "stream_broken", "broken");
    let elements = array.words();
    for whole in 0..elements.len() {
        let ending = error.in_framing(array.0, Framing::Array, whole > 0);
        let body = [&elements[..whole].concat()[..], &ending].concat();
        let read: Vec<Value> = serde_json::from_slice(&body).unwrap();
        assert_eq!(read.len(), whole + 1);
        assert_eq!(read[whole]["error"]["message"], "broken");
    }
    let meter = array.watched(vec![elements.concat()], 2).await;
    let ending = meter.reached(2).unwrap().ending(false);
    let body = [&elements[..2].concat()[..], &ending].concat();
    let read: Vec<Value> = serde_json::from_slice(&body).unwrap();
    assert_eq!(read.len(), 3);
    assert_eq!(read[2]["candidates"][0]["finishReason"], "MAX_TOKENS");
    // a comma that came already is not the end of anything
    let (meter, answer) = Meter::attach(
        response(
            array.1,
            Chunks::chunks([elements[0].clone(), b",\r\n".to_vec()]),
        ),
        &array.call(),
    );
    let mut answer = answer.into_body();
    for _ in 0..2 {
        answer.frame().await.unwrap().unwrap();
    }
    assert_eq!(meter.here().at(), elements[0].len() as u64);
}

#[tokio::test]
async fn amazons_blocks_that_are_open_are_closed() {
    let converse = Streamed(Dialect::BedrockConverse, AMAZON);
    let event = |name: &str, json: Value| frame(name, &json.to_string());
    let tool =
        json!({"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}});
    let events = vec![
        event("messageStart", json!({"role": "assistant"})),
        event(
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"text": " one"}}),
        ),
        event("contentBlockStop", json!({"contentBlockIndex": 0})),
        event("contentBlockStart", tool),
    ];
    let meter = converse.watched(events, 1).await;
    let names_at = |reached: Reached| {
        let mut pieces = PieceReader::new(Framing::EventStream);
        pieces.push(reached.ending(true));
        let all = std::iter::from_fn(|| pieces.next_piece());
        all.map(|piece| serde_json::from_slice::<Value>(&piece.unwrap()).unwrap())
            .collect::<Vec<_>>()
    };
    let stop = json!({"stopReason": "max_tokens"});
    let ending = names_at(meter.reached(1).unwrap());
    assert_eq!(ending[..2], [json!({"contentBlockIndex": 0}), stop.clone()]);
    assert_eq!(ending[2]["usage"]["outputTokens"], 1);
    let ending = names_at(meter.here());
    assert_eq!(ending[..2], [json!({"contentBlockIndex": 1}), stop]);
}

#[tokio::test]
async fn what_has_no_message_that_says_so_has_a_status_that_does() {
    for dialect in [Dialect::KServeGrpc, Dialect::GeminiGrpc] {
        let call = call(dialect, false);
        let (meter, _) = Meter::attach(response(GRPC, Chunks::default()), &call);
        let reached = meter.here();
        assert!(reached.ending(true).is_empty());
        let trailers = reached.trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "8");
        assert_eq!(trailers["grpc-retry-pushback-ms"], "-1");
    }
}

#[tokio::test]
async fn a_text_that_is_said_again_and_again_is_counted_in_every_framing() {
    for stream in [1, 2, 4, 5].map(|at| STREAMED[at]) {
        let again = vec![stream.words()[0].clone(); 5];
        let meter = met(stream.1, Chunks::chunks(again), &stream.call()).await;
        assert_eq!((meter.repeats(), meter.contents()), (5, 5), "{stream:?}");
    }
}
