//! Translating, and looking at what came of it.

use bytes::Bytes;
use llm_exchange::{Dialect, Framing, WallClock};
use llm_translate::{Asked, Back, NotTranslated, Translated};
use serde_json::{Value, json};

pub(crate) use llm_exchange::Dialect::{
    AnthropicMessages as Messages, Gemini, OpenAiChat as Chat, OpenAiResponses as Responses,
};

use crate::transcripts;

pub(crate) fn translated(
    from: Dialect,
    to: Dialect,
    request: &Value,
) -> Result<Translated, NotTranslated> {
    let body = request.to_string();
    let asked = Asked::new(from, body.as_bytes());
    // Gemini's path has it
    match from {
        Gemini => asked.model("m").translate(to),
        _ => asked.translate(to),
    }
}

/// The request in the target's dialect.
pub(crate) fn request(from: Dialect, to: Dialect, request: &Value) -> Value {
    let translated = translated(from, to, request).unwrap();
    serde_json::from_slice(translated.body()).unwrap()
}

/// The sentence that says what cannot be carried over.
pub(crate) fn refused(from: Dialect, to: Dialect, request: &Value) -> String {
    translated(from, to, request).unwrap_err().to_string()
}

/// The smallest request of a dialect.
pub(crate) fn smallest(dialect: Dialect) -> Value {
    match dialect {
        Messages => json!({"model": "m", "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}]}),
        Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        Responses => json!({"model": "m", "input": "hi"}),
        _ => json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
    }
}

/// The same with these fields in place of its own; `null` takes one out.
pub(crate) fn with(mut request: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        if value.is_null() {
            request.as_object_mut().unwrap().remove(name);
        } else {
            request[name] = value.clone();
        }
    }
    request
}

/// The way back of the smallest request, at the time against which transcripts are stated.
pub(crate) fn back(caller: Dialect, target: Dialect) -> Back {
    way_back(caller, target, &smallest(caller))
}

/// The way back of a streamed one, with its usage.
pub(crate) fn streamed_back(caller: Dialect, target: Dialect) -> Back {
    let stream = match caller {
        Gemini => {
            let body = smallest(Gemini).to_string();
            let asked = Asked::new(Gemini, body.as_bytes()).model("m");
            let translated = asked.stream(Framing::Sse).translate(target).unwrap();
            return translated.back().clone().clock(transcripts::clock());
        }
        Chat => json!({"stream": true, "stream_options": {"include_usage": true}}),
        _ => json!({"stream": true}),
    };
    way_back(caller, target, &with(smallest(caller), stream))
}

pub(crate) fn way_back(caller: Dialect, target: Dialect, request: &Value) -> Back {
    let translated = translated(caller, target, request).unwrap();
    translated.back().clone().clock(transcripts::clock())
}

pub(crate) fn clock() -> WallClock {
    transcripts::clock()
}

/// An answer of the target's, as its caller gets it.
pub(crate) fn answer(back: &Back, body: &[u8]) -> Value {
    serde_json::from_slice(&back.answer(body).unwrap()).unwrap()
}

/// A stream of the target's, given in these chunks, as its caller gets it.
pub(crate) fn stream<'c>(
    back: &Back,
    framing: Framing,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Vec<u8> {
    let mut translator = back.stream(framing);
    let mut all = Vec::new();
    for chunk in chunks {
        all.extend_from_slice(&translator.push(Bytes::copy_from_slice(chunk)));
    }
    all.extend_from_slice(&translator.finish());
    all
}

/// The data of a stream of server-sent events.
pub(crate) fn datas(stream: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(stream).unwrap();
    let datas = text.lines().filter_map(|line| line.strip_prefix("data: "));
    datas.map(str::to_owned).collect()
}

pub(crate) fn jsons(stream: &[u8]) -> Vec<Value> {
    let jsons = datas(stream).into_iter().filter(|data| data != "[DONE]");
    jsons
        .map(|data| serde_json::from_str(&data).unwrap())
        .collect()
}
