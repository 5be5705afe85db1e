//! OpenAI chat completions, and the servers that speak it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    StreamEvent,
    json::{Count, NotEmpty, Text},
};
use crate::{call::Facts, provider_error::ProviderError};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    max_completion_tokens: Option<Count>,
    max_tokens: Option<Count>,
    n: Option<Count>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(borrow)]
    safety_identifier: Option<Text<'a>>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

pub(super) fn facts(body: &[u8]) -> serde_json::Result<Facts> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    Ok(Facts {
        model: request.model.map(|model| model.0.into()),
        end_user: request
            .safety_identifier
            .or(request.user)
            .map(|user| user.0.into()),
        stream: request.stream.unwrap_or(false),
        asks_usage: request
            .stream_options
            .is_some_and(|options| options.include_usage.unwrap_or(false)),
        // the larger, where both stand: which one a server obeys differs
        output_cap: request
            .max_completion_tokens
            .max(request.max_tokens)
            .map(|cap| cap.0),
        choices: request
            .n
            .map_or(1, |n| u32::try_from(n.0).unwrap_or(u32::MAX)),
        prompt_bytes: [request.messages, request.tools]
            .iter()
            .flatten()
            .map(|raw| raw.get().len())
            .sum(),
    })
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: NotEmpty,
}

/// Only whether something is there; the text itself is not read.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Delta {
    content: NotEmpty,
    refusal: NotEmpty,
    reasoning: NotEmpty,
    reasoning_content: NotEmpty,
    tool_calls: NotEmpty,
    function_call: NotEmpty,
    audio: NotEmpty,
}

pub(super) fn stream_event(data: &[u8]) -> StreamEvent {
    if data.starts_with(b"[DONE]") {
        return StreamEvent::Finished;
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        // not a chunk: perhaps a server's flat error
        return ProviderError::from_body(data).map_or(StreamEvent::Nothing, StreamEvent::Error);
    };
    if chunk.error.is_some()
        && let Some(error) = ProviderError::from_body(data)
    {
        return StreamEvent::Error(error);
    }
    let content = chunk
        .choices
        .iter()
        .filter_map(|choice| choice.delta.as_ref())
        .any(|delta| {
            [
                delta.content,
                delta.refusal,
                delta.reasoning,
                delta.reasoning_content,
                delta.tool_calls,
                delta.function_call,
                delta.audio,
            ]
            .iter()
            .any(|part| part.0)
        });
    if content {
        StreamEvent::Content
    } else if chunk.choices.iter().any(|choice| choice.finish_reason.0) {
        StreamEvent::Finished
    } else {
        StreamEvent::Nothing
    }
}
