//! The streams of the transcripts put together to answers, and answers taken apart to streams: all say
//! the same.

use bytes::Bytes;
use llm_exchange::{
    Dialect, Framing, Meter, Usage,
    sse::Event,
    stream::{Collector, DeltaKind, DeltaReader, PieceReader, StreamError, expand},
};
use serde_json::{Value, json};

use crate::{
    answers::dialect_of,
    support::{Chunks, call, media_type, met},
    transcripts::{bytes, expected},
};

const STREAMS: [&str; 12] = [
    "03-openai-chat-stream-usage.sse",
    "06-openai-chat-stream-tool-moderation.sse",
    "07-openai-responses-stream.sse",
    "16-openai-completions-stream.sse",
    "23-anthropic-stream.sse",
    "33-gemini-stream-crlf.sse",
    "34-gemini-stream-array.json",
    "41-mistral-chat-stream.sse",
    "43-groq-chat-stream.sse",
    "48-openrouter-stream.sse",
    "52-ollama-chat-stream.ndjson",
    "58-bedrock-converse-stream.bin",
];

const ANSWERS: [&str; 6] = [
    "02-openai-chat-response.json",
    "10-openai-responses-incomplete.json",
    "22-anthropic-response.json",
    "32-gemini-response.json",
    "39-gemini-blocked.json",
    "57-bedrock-converse-response.json",
];

pub(crate) fn framing(name: &str) -> Framing {
    match media_type(name) {
        "application/x-ndjson" => Framing::Lines,
        "application/vnd.amazon.eventstream" => Framing::EventStream,
        kind if kind.starts_with("application/json") => Framing::Array,
        _ => Framing::Sse,
    }
}

fn collected(dialect: Dialect, pieces: &[Bytes]) -> Result<Vec<u8>, StreamError> {
    let mut collector = Collector::new(dialect);
    pieces
        .iter()
        .try_for_each(|piece| collector.push_data(piece))?;
    Ok(collector.finish()?.to_vec())
}

fn pieces(name: &str) -> Vec<Bytes> {
    let mut reader = PieceReader::new(framing(name));
    reader.push(bytes(name).into());
    let mut pieces: Vec<_> = std::iter::from_fn(|| reader.next_piece())
        .map(Result::unwrap)
        .collect();
    pieces.extend(reader.finish().unwrap());
    pieces
}

fn datas(events: &[Event]) -> Vec<Bytes> {
    let datas = events.iter().filter_map(Event::data);
    datas.map(|data| Bytes::from(data.into_owned())).collect()
}

/// Everything that a meter says of a whole answer.
#[derive(Debug, PartialEq)]
struct Said {
    model: Option<String>,
    usage: Option<Usage>,
    finish: Vec<String>,
    tier: Option<String>,
    end: Option<llm_exchange::End>,
}

fn said(meter: &Meter) -> Said {
    Said {
        model: meter.model(),
        usage: meter.usage(),
        finish: meter.finish_reasons(),
        tier: meter.service_tier(),
        end: meter.end(),
    }
}

async fn unstreamed(dialect: Dialect, answer: &[u8]) -> Said {
    let body = Chunks::chunks([answer.to_vec()]);
    said(&met("application/json", body, &call(dialect, false)).await)
}

async fn streamed(dialect: Dialect, kind: &str, body: Vec<u8>) -> Said {
    said(&met(kind, Chunks::chunks([body]), &call(dialect, true)).await)
}

/// The text of each choice, and the tool calls' names and arguments.
pub(crate) fn deltas(dialect: Dialect, pieces: &[Bytes]) -> (Vec<String>, Vec<[String; 2]>) {
    let mut reader = DeltaReader::new(dialect);
    let (mut texts, mut calls) = (Vec::new(), std::collections::BTreeMap::new());
    for piece in pieces {
        reader.push_data(piece).unwrap();
        while let Some(delta) = reader.next_delta() {
            match delta.kind {
                DeltaKind::Text => {
                    let choice = usize::try_from(delta.choice).unwrap();
                    texts.resize(texts.len().max(choice + 1), String::new());
                    texts[choice].push_str(&delta.text);
                }
                DeltaKind::ToolCall { index, name, .. } => {
                    let call: &mut [String; 2] = calls.entry(index).or_default();
                    call[0].push_str(&name.unwrap_or_default());
                    call[1].push_str(&delta.text);
                }
                _ => {}
            }
        }
    }
    reader.finish().unwrap();
    (texts, calls.into_values().collect())
}

#[test]
fn every_stream_that_is_whole_and_every_answer_that_could_have_been_one_is_here() {
    let all: Value = serde_json::from_slice(&bytes("expected.json")).unwrap();
    let whole = all.as_object().unwrap().iter().filter(|(name, expected)| {
        let is_json = name.ends_with(".json") && !name.contains("request");
        let is_stream = name.contains("stream") && !name.ends_with(".http");
        (is_json || is_stream)
            && expected["complete"] == true
            && !expected["error"].is_string()
            // which have no streams
            && !name.contains("embeddings")
    });
    let (mut streams, mut answers) = (Vec::new(), Vec::new());
    for (name, _) in whole {
        match name.contains("stream") {
            true => streams.push(name.as_str()),
            false => answers.push(name.as_str()),
        }
    }
    streams.sort_unstable();
    answers.sort_unstable();
    assert_eq!(streams, STREAMS);
    assert_eq!(answers, ANSWERS);
}

#[tokio::test]
async fn a_stream_put_together_says_what_the_stream_said() {
    for name in STREAMS {
        let dialect = dialect_of(name);
        let pieces = pieces(name);
        let answer = collected(dialect, &pieces).unwrap_or_else(|e| panic!("{name}: {e}"));
        let whole = unstreamed(dialect, &answer).await;
        let stream = streamed(dialect, media_type(name), bytes(name)).await;
        assert_eq!(whole, stream, "{name}");

        let expected = expected(name);
        for (count, field) in [
            (whole.usage.map(|usage| usage.input()), "input"),
            (whole.usage.map(|usage| usage.output()), "output"),
        ] {
            let stated = expected[field].as_u64();
            assert_eq!(count, stated, "{name} {field}");
        }
        if let Some(texts) = expected.get("text") {
            let events = expand(dialect, &answer, true).unwrap();
            assert_eq!(json!(deltas(dialect, &datas(&events)).0), *texts, "{name}");
        }
    }
}

#[tokio::test]
async fn taken_apart_again_it_is_a_stream_that_says_the_same() {
    for name in STREAMS {
        let dialect = dialect_of(name);
        let pieces = pieces(name);
        let answer = collected(dialect, &pieces).unwrap();
        let events = expand(dialect, &answer, true).unwrap();
        let body: Vec<_> = events.iter().map(|event| event.raw().as_ref()).collect();
        let stream = streamed(dialect, "text/event-stream", body.concat()).await;
        assert_eq!(stream, unstreamed(dialect, &answer).await, "{name}");
        assert_eq!(
            deltas(dialect, &pieces),
            deltas(dialect, &datas(&events)),
            "{name}"
        );
        let again = collected(dialect, &datas(&events)).unwrap();
        assert_eq!(stated(&again), stated(&answer), "{name}");
    }
}

/// A chunk says `null` where an answer may say nothing.
fn stated(answer: &[u8]) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|_, value| !value.is_null());
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }

    let mut answer = serde_json::from_slice(answer).unwrap();
    strip(&mut answer);
    answer
}

#[tokio::test]
async fn answers_survive_being_streamed() {
    for name in ANSWERS {
        let dialect = dialect_of(name);
        let answer: Value = serde_json::from_slice(&bytes(name)).unwrap();
        let events = expand(dialect, &bytes(name), true).unwrap_or_else(|e| panic!("{name}: {e}"));
        let again = collected(dialect, &datas(&events)).unwrap();
        let again: Value = serde_json::from_slice(&again).unwrap();
        assert_eq!(again, answer, "{name}");
        let body: Vec<_> = events.iter().map(|event| event.raw().as_ref()).collect();
        let stream = streamed(dialect, "text/event-stream", body.concat()).await;
        assert_eq!(stream, unstreamed(dialect, &bytes(name)).await, "{name}");
    }
}

#[test]
fn a_stream_that_fails_or_stops_short_is_no_answer() {
    let errors = |name: &str| collected(dialect_of(name), &pieces(name)).unwrap_err();
    for name in [
        "08-openai-responses-stream-failed.sse",
        "53-ollama-stream-error.ndjson",
    ] {
        assert!(errors(name).provider_error().is_some(), "{name}");
    }
    for name in STREAMS {
        let all = pieces(name);
        let cut = collected(dialect_of(name), &all[..all.len() / 2]);
        assert!(cut.unwrap_err().is_truncated(), "{name}");
    }
}

#[test]
fn what_has_no_streams_is_not_put_together() {
    for dialect in [
        Dialect::OpenAiEmbeddings,
        Dialect::GeminiGrpc,
        Dialect::VertexGrpc,
        Dialect::KServeGrpc,
    ] {
        let mut collector = Collector::new(dialect);
        assert!(collector.push_data(b"{}").unwrap_err().is_unreadable());
        assert!(expand(dialect, b"{}", true).unwrap_err().is_unreadable());
    }
}
