//! Every dialect whose events are told apart, through both layers, on the transcripts.

use std::path::Path;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use llm_exchange::{
    Dialect, Framing,
    stream::{DeltaReader, EventEnds, PieceReader, StreamError},
};
use serde_json::Value;
use sse_layer::{SseLayer, StreamTimeoutLayer, client::collect};
use tower::{Layer, ServiceExt};

use crate::common::*;

struct Case {
    name: &'static str,
    dialect: Dialect,
    path: &'static str,
}

const fn case(name: &'static str, dialect: Dialect, path: &'static str) -> Case {
    Case {
        name,
        dialect,
        path,
    }
}

const CHAT: &str = "/v1/chat/completions";
const CASES: [Case; 10] = [
    case("03-openai-chat-stream-usage.sse", Dialect::OpenAiChat, CHAT),
    case(
        "07-openai-responses-stream.sse",
        Dialect::OpenAiResponses,
        "/v1/responses",
    ),
    case(
        "16-openai-completions-stream.sse",
        Dialect::OpenAiCompletions,
        "/v1/completions",
    ),
    case(
        "23-anthropic-stream.sse",
        Dialect::AnthropicMessages,
        "/v1/messages",
    ),
    case(
        "33-gemini-stream-crlf.sse",
        Dialect::Gemini,
        "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
    ),
    case("41-mistral-chat-stream.sse", Dialect::OpenAiChat, CHAT),
    case("48-openrouter-stream.sse", Dialect::OpenAiChat, CHAT),
    case("52-ollama-chat-stream.ndjson", Dialect::Ollama, "/api/chat"),
    case(
        "34-gemini-stream-array.json",
        Dialect::Gemini,
        "/v1beta/models/gemini-3.8-flash:streamGenerateContent",
    ),
    case(
        "58-bedrock-converse-stream.bin",
        Dialect::BedrockConverse,
        "/model/amazon.nova-pro-v1:0/converse-stream",
    ),
];

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../llm-exchange/tests/transcripts")
            .join(self.name);
        std::fs::read(path).unwrap()
    }

    fn framing(&self) -> Framing {
        match self.name.rsplit('.').next() {
            Some("ndjson") => Framing::Lines,
            Some("json") => Framing::Array,
            Some("bin") => Framing::EventStream,
            _ => Framing::Sse,
        }
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let body = r#"{"model":"m","messages":[],"stream":true}"#;
        post(&format!("https://api.example{}", self.path), body)
    }

    fn media_type(&self) -> &'static str {
        match self.framing() {
            Framing::Lines => "application/x-ndjson",
            Framing::Array => "application/json",
            Framing::EventStream => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        }
    }

    async fn through(&self, layer: SseLayer, body: ScriptedBody) -> Vec<u8> {
        let kind = self.media_type();
        let answer = Answer::status(200).header("content-type", kind).body(body);
        let clocks = StreamTimeoutLayer::new()
            .idle(SECOND * 9)
            .min_tokens(1, SECOND * 9);
        let service = clocks.layer(Script::new().then(answer));
        let response = layer.layer(service).oneshot(self.request()).await.unwrap();
        bytes(response).await
    }

    /// Reads what came as a client would.
    fn read(&self, stream: &[u8]) -> Result<(), StreamError> {
        let mut pieces = PieceReader::new(self.framing());
        let mut reader = DeltaReader::new(self.dialect);
        pieces.push(Bytes::copy_from_slice(stream));
        while let Some(piece) = pieces.next_piece() {
            reader.push_data(&piece?)?;
        }
        if let Some(last) = pieces.finish()? {
            reader.push_data(&last)?;
        }
        reader.finish()
    }

    /// Where events end.
    fn ends(&self, stream: &[u8]) -> Vec<usize> {
        if let Some(mut ends) = EventEnds::new(self.framing()) {
            let bytes = stream.chunks(1).enumerate();
            let ends = bytes.filter_map(|(at, byte)| Some(at + ends.last_end(byte)?));
            return ends.collect();
        }
        let blank: &[u8] = match (self.framing(), self.dialect) {
            (Framing::Lines, _) => b"\n",
            (_, Dialect::Gemini) => b"\r\n\r\n",
            _ => b"\n\n",
        };
        let at = stream.windows(blank.len()).enumerate();
        at.filter(|(_, window)| *window == blank)
            .map(|(at, _)| at + blank.len())
            .collect()
    }
}

fn pieces(stream: &[u8], size: usize) -> ScriptedBody {
    ScriptedBody::chunks(stream.chunks(size).map(<[u8]>::to_vec))
}

#[tokio::test(start_paused = true)]
async fn a_whole_stream_passes_byte_for_byte() {
    let layer = SseLayer::new()
        .max_output_tokens(100_000)
        .keep_alive(SECOND);
    for case in CASES {
        let stream = case.bytes();
        for size in [1, 7, 100, stream.len()] {
            let all = case.through(layer.clone(), pieces(&stream, size)).await;
            assert_eq!(all, stream, "{} in chunks of {size}", case.name);
        }
        case.read(&stream).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_too_early_ends_in_an_error_that_a_client_reads() {
    for case in CASES {
        let stream = case.bytes();
        for cut in 1..stream.len() {
            let front = &stream[..cut];
            if case.read(front).is_ok() {
                continue;
            }
            let all = case.through(SseLayer::new(), pieces(front, 1_000)).await;
            let whole = case.ends(front).last().copied().unwrap_or(0);
            assert_eq!(all[..whole], stream[..whole], "{} cut at {cut}", case.name);
            if all == front {
                // it lacks nothing but its last blank line
                continue;
            }
            let error = case.read(&all).unwrap_err();
            assert!(
                error.provider_error().is_some(),
                "{} cut at {cut}: {error}",
                case.name
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_hangs_ends_in_an_error_that_a_client_reads() {
    for case in CASES {
        let stream = case.bytes();
        let ends = case.ends(&stream);
        // so early that none is over
        let front = &stream[..ends[(ends.len() - 1) / 4]];
        let all = case
            .through(SseLayer::new(), pieces(front, 50).hang())
            .await;
        assert_eq!(all[..front.len()], *front, "{}", case.name);
        let error = case.read(&all).unwrap_err();
        let status = error
            .provider_error()
            .unwrap()
            .status()
            .map(|status| status.as_u16());
        // Ollama's errors are a text alone, Amazon's have a kind
        assert!(
            matches!(status, Some(504 | 424) | None),
            "{} {status:?}",
            case.name
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_at_its_cap_ends_as_a_whole_answer() {
    for case in CASES {
        let stream = case.bytes();
        for size in [1, 60, stream.len()] {
            let layer = SseLayer::new().max_output_tokens(1).hard();
            let all = case.through(layer, pieces(&stream, size).hang()).await;
            assert_ne!(all, stream, "{}", case.name);
            case.read(&all).unwrap_or_else(|error| {
                panic!("{}: {error}\n{}", case.name, String::from_utf8_lossy(&all))
            });
            // what passed is whole events of the stream
            let common = all
                .iter()
                .zip(&stream)
                .take_while(|(one, other)| one == other)
                .count();
            let ends = case.ends(&stream);
            assert!(ends.iter().any(|end| *end <= common), "{}", case.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_whole_ends_well_when_its_body_hangs_or_breaks() {
    for case in CASES {
        let stream = case.bytes();
        for hang in [true, false] {
            let body = pieces(&stream, 70);
            let body = if hang {
                body.hang()
            } else {
                body.error("reset")
            };
            let all = case.through(SseLayer::new(), body).await;
            assert_eq!(all, stream, "{}", case.name);
        }
    }
    // all but the bracket
    let array = &CASES[8];
    let stream = array.bytes();
    let end = array.ends(&stream)[1];
    for hang in [true, false] {
        let body = pieces(&stream[..end + 1], 70);
        let body = if hang {
            body.hang()
        } else {
            body.error("reset")
        };
        let all = array.through(SseLayer::new(), body).await;
        assert_eq!(all, [&stream[..end], b"\n]\n"].concat());
    }
}

#[tokio::test]
async fn a_client_reads_every_stream_as_the_answer_that_it_amounts_to() {
    for case in CASES {
        let stream = case.bytes();
        for size in [1, 50, stream.len()] {
            let response = http::Response::builder()
                .header("content-type", case.media_type())
                .body(pieces(&stream, size))
                .unwrap();
            let response = collect(response, case.dialect).await.unwrap();
            assert_eq!(response.headers()["content-type"], "application/json");
            let answer: Value = serde_json::from_slice(response.body()).unwrap();
            let said = match case.dialect {
                Dialect::OpenAiChat => &answer["choices"][0]["message"]["content"],
                Dialect::OpenAiResponses => &answer["output"][0]["content"][0]["text"],
                Dialect::OpenAiCompletions => &answer["choices"][0]["text"],
                Dialect::AnthropicMessages => &answer["content"][0]["thinking"],
                Dialect::Gemini => &answer["candidates"][0]["content"]["parts"][0]["text"],
                Dialect::Ollama => &answer["message"]["content"],
                _ => &answer["output"]["message"]["content"][0]["text"],
            };
            assert!(said.is_string(), "{}: {answer}", case.name);
        }
        // and half of it is no answer
        let half = http::Response::builder()
            .header("content-type", case.media_type())
            .body(pieces(&stream[..stream.len() / 2], 50))
            .unwrap();
        collect(half, case.dialect).await.unwrap_err();
    }
    // of the same type, and no stream
    for (dialect, name) in [
        (Dialect::Gemini, "32-gemini-response.json"),
        (
            Dialect::BedrockConverse,
            "57-bedrock-converse-response.json",
        ),
    ] {
        let answer = Case { name, ..CASES[0] }.bytes();
        let response = http::Response::builder()
            .header("content-type", "application/json")
            .body(pieces(&answer, 50))
            .unwrap();
        let response = collect(response, dialect).await.unwrap();
        assert_eq!(response.body(), &answer);
    }
}
