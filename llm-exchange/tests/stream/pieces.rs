//! Every framing and every dialect: bodies to pieces, pieces to deltas.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use llm_exchange::{
    Dialect, Framing,
    stream::{Delta, DeltaKind, DeltaReader, PieceReader, StreamError},
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use crate::transcripts;

/// The deltas of a body that comes in these chunks, and whether it was whole.
fn read<'c>(
    framing: Framing,
    dialect: Dialect,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> (Vec<Delta>, Result<(), StreamError>) {
    let mut pieces = PieceReader::new(framing);
    let mut reader = DeltaReader::new(dialect);
    let mut deltas = Vec::new();
    let all = || -> Result<(), StreamError> {
        for chunk in chunks {
            pieces.push(Bytes::copy_from_slice(chunk));
            while let Some(piece) = pieces.next_piece() {
                reader.push_data(&piece?)?;
            }
        }
        if let Some(last) = pieces.finish()? {
            reader.push_data(&last)?;
        }
        Ok(())
    };
    let end = all();
    deltas.extend(std::iter::from_fn(|| reader.next_delta()));
    let end = end.and_then(|()| reader.finish());
    (deltas, end)
}

fn said(deltas: &[Delta], kind: &DeltaKind) -> String {
    let of = deltas.iter().filter(|delta| delta.kind == *kind);
    of.map(|delta| &*delta.text).collect()
}

#[test]
fn every_transcript_says_its_text_however_it_is_cut() {
    for (name, framing, dialect, text) in [
        (
            "07-openai-responses-stream.sse",
            Framing::Sse,
            Dialect::OpenAiResponses,
            "Yellow",
        ),
        (
            "16-openai-completions-stream.sse",
            Framing::Sse,
            Dialect::OpenAiCompletions,
            " lemon",
        ),
        (
            "23-anthropic-stream.sse",
            Framing::Sse,
            Dialect::AnthropicMessages,
            "Yellow",
        ),
        (
            "33-gemini-stream-crlf.sse",
            Framing::Sse,
            Dialect::Gemini,
            "Yellow\u{2028}!",
        ),
        (
            "34-gemini-stream-array.json",
            Framing::Array,
            Dialect::Gemini,
            "Yellow",
        ),
        (
            "48-openrouter-stream.sse",
            Framing::Sse,
            Dialect::OpenAiChat,
            "Yellow",
        ),
        (
            "52-ollama-chat-stream.ndjson",
            Framing::Lines,
            Dialect::Ollama,
            "Yellow",
        ),
        (
            "58-bedrock-converse-stream.bin",
            Framing::EventStream,
            Dialect::BedrockConverse,
            "Yellow",
        ),
    ] {
        let body = transcripts::bytes(name);
        for size in [1, 2, 17, 100, body.len()] {
            let (deltas, end) = read(framing, dialect, body.chunks(size));
            end.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                said(&deltas, &DeltaKind::Text),
                text,
                "{name} in chunks of {size}"
            );
        }
        // half of it is none
        let (_, end) = read(framing, dialect, [&body[..body.len() / 2]]);
        assert!(!end.unwrap_err().is_too_large(), "{name}");
    }
}

#[test]
fn an_error_in_the_stream_is_an_error_in_every_framing() {
    for (name, framing, dialect) in [
        (
            "08-openai-responses-stream-failed.sse",
            Framing::Sse,
            Dialect::OpenAiResponses,
        ),
        (
            "53-ollama-stream-error.ndjson",
            Framing::Lines,
            Dialect::Ollama,
        ),
    ] {
        let body = transcripts::bytes(name);
        let (_, end) = read(framing, dialect, [&*body]);
        assert!(end.unwrap_err().provider_error().is_some(), "{name}");
    }
}

fn grpc_message(name: &str) -> Vec<u8> {
    let hex = String::from_utf8(transcripts::bytes(name)).unwrap();
    let hex: Vec<_> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.chunks(2).map(byte).collect()
}

#[test]
fn a_grpc_stream_has_its_end_in_the_trailers() {
    for (name, dialect) in [
        ("62-grpc-aiplatform-response.hex", Dialect::VertexGrpc),
        (
            "63-grpc-generativelanguage-response.hex",
            Dialect::GeminiGrpc,
        ),
    ] {
        let mut pieces = PieceReader::new(Framing::Grpc);
        pieces.push(grpc_message(name).into());
        let mut reader = DeltaReader::new(dialect);
        reader
            .push_data(&pieces.next_piece().unwrap().unwrap())
            .unwrap();
        assert_eq!(reader.next_delta().unwrap().kind, DeltaKind::Text, "{name}");
        assert!(pieces.finish().unwrap().is_none());
        assert!(reader.finish().unwrap_err().is_truncated());
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        reader.push_trailers(&trailers).unwrap();
        reader.finish().unwrap();
        trailers.insert("grpc-status", HeaderValue::from_static("8"));
        assert!(
            reader
                .push_trailers(&trailers)
                .unwrap_err()
                .provider_error()
                .is_some()
        );
    }
}

fn one(dialect: Dialect, data: Value) -> Vec<Delta> {
    let mut reader = DeltaReader::new(dialect);
    reader.push_data(data.to_string().as_bytes()).unwrap();
    std::iter::from_fn(|| reader.next_delta()).collect()
}

fn call(index: u64, id: Option<&str>, name: Option<&str>) -> DeltaKind {
    DeltaKind::ToolCall {
        index,
        id: id.map(Into::into),
        name: name.map(Into::into),
    }
}

#[test]
fn tool_calls_and_reasoning_are_told_apart_in_every_dialect() {
    let item = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": ""});
    assert_eq!(
        one(
            Dialect::OpenAiResponses,
            json!({"type": "response.output_item.added", "output_index": 2, "item": item})
        ),
        [Delta::new(0, call(2, Some("c"), Some("f")), "")]
    );
    assert_eq!(
        one(
            Dialect::OpenAiResponses,
            json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{}"})
        ),
        [Delta::new(0, call(2, None, None), "{}")]
    );
    for (kind, delta) in [
        (
            "response.reasoning_summary_text.delta",
            DeltaKind::Reasoning,
        ),
        ("response.refusal.delta", DeltaKind::Refusal),
    ] {
        let said = one(
            Dialect::OpenAiResponses,
            json!({"type": kind, "delta": "x"}),
        );
        assert_eq!(said, [Delta::new(0, delta, "x")]);
    }
    let parts = json!([
        {"text": "Hm.", "thought": true},
        {"functionCall": {"name": "f", "args": {"q": 1}}},
        {"functionCall": {"id": "c", "name": "g", "args": {}}},
        {"text": "Hi"},
    ]);
    assert_eq!(
        one(
            Dialect::Gemini,
            json!({"candidates": [{"index": 1, "content": {"parts": parts}}]})
        ),
        [
            Delta::new(1, DeltaKind::Reasoning, "Hm."),
            Delta::new(1, call(0, None, Some("f")), "{\"q\":1}"),
            Delta::new(1, call(1, Some("c"), Some("g")), "{}"),
            Delta::new(1, DeltaKind::Text, "Hi"),
        ]
    );
    let message = json!({"thinking": "Hm.", "content": "Hi", "tool_calls": [
        {"function": {"name": "f", "arguments": {"q": 1}}},
    ]});
    assert_eq!(
        one(Dialect::Ollama, json!({"message": message, "done": false})),
        [
            Delta::new(0, DeltaKind::Reasoning, "Hm."),
            Delta::new(0, DeltaKind::Text, "Hi"),
            Delta::new(0, call(0, None, Some("f")), "{\"q\":1}"),
        ]
    );
    let start = json!({"toolUse": {"toolUseId": "t", "name": "f"}});
    assert_eq!(
        one(
            Dialect::BedrockConverse,
            json!({"contentBlockIndex": 3, "start": start})
        ),
        [Delta::new(0, call(3, Some("t"), Some("f")), "")]
    );
    for (delta, expected) in [
        (
            json!({"toolUse": {"input": "{}"}}),
            Delta::new(0, call(3, None, None), "{}"),
        ),
        (
            json!({"reasoningContent": {"text": "Hm"}}),
            Delta::new(0, DeltaKind::Reasoning, "Hm"),
        ),
    ] {
        let said = one(
            Dialect::BedrockConverse,
            json!({"contentBlockIndex": 3, "delta": delta}),
        );
        assert_eq!(said, [expected]);
    }
}

#[test]
fn a_piece_in_one_chunk_is_a_slice_of_it() {
    let chunk = Bytes::from("{\"a\":1}\n");
    let mut reader = PieceReader::new(Framing::Lines);
    reader.push(chunk.clone());
    assert_eq!(
        reader.next_piece().unwrap().unwrap().as_ptr(),
        chunk.as_ptr()
    );
    let chunk = Bytes::from("event: x\ndata: {}\n\n");
    let mut reader = PieceReader::new(Framing::Sse);
    reader.push(chunk.clone());
    assert_eq!(
        reader.next_piece().unwrap().unwrap().as_ptr(),
        chunk[15..].as_ptr()
    );
}

#[test]
fn what_is_too_large_or_broken_is_said() {
    for framing in [Framing::Sse, Framing::Lines, Framing::Array] {
        let mut reader = PieceReader::new(framing).max_bytes(10);
        let long = format!("[{{\"data\": \"{}\"}}\n\n", "x".repeat(50));
        reader.push(Bytes::from(long));
        assert!(
            reader.next_piece().unwrap().unwrap_err().is_too_large(),
            "{framing:?}"
        );
    }
    let mut reader = PieceReader::new(Framing::Array);
    reader.push(Bytes::from("nothing"));
    assert!(reader.next_piece().unwrap().unwrap_err().is_unreadable());
    let mut reader = PieceReader::new(Framing::Grpc);
    reader.push(Bytes::from_static(b"\x01\0\0\0\x01x\0\0\0\0\x05x"));
    assert!(reader.next_piece().unwrap().unwrap_err().is_unreadable());
    assert!(reader.next_piece().is_none());
    assert!(reader.finish().unwrap_err().is_truncated());
}

#[test]
fn the_framing_is_known_by_the_head() {
    let of = |kind: &str, dialect| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().unwrap());
        Framing::of(&headers, dialect)
    };
    assert_eq!(
        of("text/event-stream; charset=utf-8", Dialect::OpenAiChat),
        Some(Framing::Sse)
    );
    assert_eq!(
        of("application/x-ndjson", Dialect::Ollama),
        Some(Framing::Lines)
    );
    assert_eq!(
        of("application/json", Dialect::Ollama),
        Some(Framing::Lines)
    );
    assert_eq!(
        of("application/json", Dialect::Gemini),
        Some(Framing::Array)
    );
    assert_eq!(of("application/json", Dialect::OpenAiChat), None);
    assert_eq!(
        of("application/grpc+proto", Dialect::GeminiGrpc),
        Some(Framing::Grpc)
    );
    assert_eq!(of("text/html", Dialect::Gemini), None);
    assert_eq!(Framing::of(&HeaderMap::new(), Dialect::OpenAiChat), None);
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(chunks in vec(vec(any::<u8>(), 0..40), 0..8)) {
        for framing in
            [Framing::Sse, Framing::Lines, Framing::Array, Framing::EventStream, Framing::Grpc]
        {
            for dialect in [Dialect::OpenAiResponses, Dialect::Gemini, Dialect::Ollama,
                Dialect::BedrockConverse, Dialect::GeminiGrpc, Dialect::VertexGrpc]
            {
                let _ = read(framing, dialect, chunks.iter().map(|chunk| &**chunk));
            }
        }
    }
}
