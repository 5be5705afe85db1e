//! Every stream and answer of a dialect that is translated among the transcripts (one that is an error within a 200 is
//! in `answers`), for callers of every dialect: what they say, what they used and whether they were whole is what it was.

use llm_exchange::{
    Dialect, Framing, ProviderError,
    sse::Event,
    stream::{DeltaKind, DeltaReader},
};
use serde_json::Value;

use crate::{
    support::{Chat, Gemini, Messages, Responses, back, datas, stream, streamed_back},
    transcripts,
};

const CALLERS: [Dialect; 4] = [Chat, Messages, Gemini, Responses];

const STREAMS: [(&str, Dialect, Framing); 14] = [
    ("03-openai-chat-stream-usage.sse", Chat, Framing::Sse),
    ("04-openai-chat-stream-error.sse", Chat, Framing::Sse),
    (
        "06-openai-chat-stream-tool-moderation.sse",
        Chat,
        Framing::Sse,
    ),
    ("23-anthropic-stream.sse", Messages, Framing::Sse),
    ("24-anthropic-stream-error.sse", Messages, Framing::Sse),
    (
        "25-anthropic-stream-error-first.sse",
        Messages,
        Framing::Sse,
    ),
    ("26-anthropic-stream-truncated.sse", Messages, Framing::Sse),
    ("33-gemini-stream-crlf.sse", Gemini, Framing::Sse),
    ("34-gemini-stream-array.json", Gemini, Framing::Array),
    ("41-mistral-chat-stream.sse", Chat, Framing::Sse),
    ("43-groq-chat-stream.sse", Chat, Framing::Sse),
    ("48-openrouter-stream.sse", Chat, Framing::Sse),
    ("49-openrouter-stream-error.sse", Chat, Framing::Sse),
    ("54-vllm-stream-error-then-done.sse", Chat, Framing::Sse),
];

/// What the caller reads of a stream: its first choice's text and calls, its usage, and its end.
struct Read {
    text: String,
    arguments: String,
    reader: DeltaReader,
    error: Option<ProviderError>,
}

fn read(caller: Dialect, stream: &[u8]) -> Read {
    let mut read = Read {
        text: String::new(),
        arguments: String::new(),
        reader: DeltaReader::new(caller),
        error: None,
    };
    for data in datas(stream) {
        if let Err(error) = read.reader.push(&Event::new(&*data)) {
            read.error = error.provider_error().cloned();
            break;
        }
        while let Some(delta) = read.reader.next_delta() {
            match delta.kind {
                DeltaKind::Text if delta.choice == 0 => read.text.push_str(&delta.text),
                DeltaKind::ToolCall { .. } => read.arguments.push_str(&delta.text),
                _ => {}
            }
        }
    }
    read
}

#[test]
fn every_stream_says_to_every_caller_what_it_said() {
    for (name, target, framing) in STREAMS {
        let (bytes, expected) = (transcripts::bytes(name), transcripts::expected(name));
        for caller in CALLERS {
            if !llm_translate::translates(caller, target) {
                continue;
            }
            // two choices are for two
            if name.starts_with("03") && matches!(caller, Messages | Responses) {
                continue;
            }
            let context = format!("{name} for {caller:?}");
            let back = streamed_back(caller, target);
            let read = read(caller, &stream(&back, framing, [&*bytes]));
            let complete = expected["complete"].as_bool().unwrap();
            assert_eq!(read.error.is_none(), complete, "{context}");
            assert_eq!(read.reader.finish().is_ok(), complete, "{context}");
            if let Some(text) = expected["text"][0].as_str() {
                assert_eq!(read.text, text, "{context}");
            }
            if let Some(arguments) = expected["tool_args"].as_str() {
                let parse = |json: &str| serde_json::from_str::<Value>(json).unwrap();
                assert_eq!(parse(&read.arguments), parse(arguments), "{context}");
            }
            if !complete {
                continue;
            }
            let Some(input) = expected["input"].as_u64() else {
                continue;
            };
            let usage = read.reader.usage().unwrap();
            let counts = (usage.input(), usage.output(), usage.cached, usage.reasoning);
            let of = |field: &str| expected[field].as_u64().unwrap_or(0);
            let all = (input, of("output"), of("cached"), of("reasoning"));
            assert_eq!(counts, all, "{context}");
            assert_eq!(usage.cache_write, of("cache_write"), "{context}");
        }
    }
}

#[test]
fn every_answer_says_to_every_caller_what_it_used() {
    for (name, target) in [
        ("02-openai-chat-response.json", Chat),
        ("22-anthropic-response.json", Messages),
        ("32-gemini-response.json", Gemini),
        ("39-gemini-blocked.json", Gemini),
        ("46-deepseek-nonstream-keepalive.http", Chat),
    ] {
        let bytes = match name.ends_with(".http") {
            true => transcripts::http(name).body,
            false => transcripts::bytes(name),
        };
        let expected = transcripts::expected(name);
        for caller in CALLERS {
            if !llm_translate::translates(caller, target) {
                continue;
            }
            let context = format!("{name} for {caller:?}");
            let answer = back(caller, target).answer(&bytes).unwrap();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            let (input, output) = match caller {
                Chat => ("/usage/prompt_tokens", "/usage/completion_tokens"),
                Gemini => (
                    "/usageMetadata/promptTokenCount",
                    "/usageMetadata/totalTokenCount",
                ),
                _ => ("/usage/input_tokens", "/usage/output_tokens"),
            };
            let count = |at: &str| answer.pointer(at).unwrap().as_u64().unwrap();
            let mut input = count(input);
            let mut output = count(output);
            match caller {
                // its total is of both
                Gemini => output -= input,
                // its counts of the prompt stand beside each other
                Messages => {
                    input += count("/usage/cache_read_input_tokens");
                    input += count("/usage/cache_creation_input_tokens");
                }
                _ => {}
            }
            assert_eq!(input, expected["input"], "{context}");
            assert_eq!(output, expected["output"], "{context}");
        }
    }
}

#[test]
fn every_error_is_told_to_every_caller_with_its_status_and_code() {
    for (name, target) in [
        ("11-openai-429-rate-limit.http", Chat),
        ("12-openai-429-credit-exhausted.http", Chat),
        ("13-openai-503-overloaded-date.http", Chat),
        ("14-openai-400-context-length.http", Chat),
        ("19-azure-429.http", Chat),
        ("20-azure-400-content-filter.http", Chat),
        ("29-anthropic-429-rate-limit.http", Messages),
        ("30-anthropic-429-spend-limit.http", Messages),
        ("31-anthropic-529-overloaded.http", Messages),
        ("36-gemini-429-retryinfo.http", Gemini),
        ("38-gemini-402-prepay.http", Gemini),
        ("42-mistral-429.http", Chat),
        ("45-groq-498-flex.http", Chat),
    ] {
        let (answered, expected) = (transcripts::http(name), transcripts::expected(name));
        let error = ProviderError::from_body(&answered.body).unwrap();
        assert_eq!(error.code(), expected["error"].as_str(), "{name}");
        for caller in CALLERS {
            if !llm_translate::translates(caller, target) {
                continue;
            }
            let answer = back(caller, target).error(answered.status, &error);
            let body = answer.body(Some(caller));
            let told = ProviderError::from_body(&body).unwrap();
            let context = format!("{name} for {caller:?}");
            assert_eq!(told.message(), error.message(), "{context}");
            // Google's code is the reason beside its status, and a number is no name
            let is_number = error.code().unwrap().parse::<u32>().is_ok();
            if caller != Gemini && !is_number {
                assert_eq!(told.code(), error.code(), "{context}");
            }
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(body.contains(error.code().unwrap()), "{context}: {body}");
        }
    }
}
