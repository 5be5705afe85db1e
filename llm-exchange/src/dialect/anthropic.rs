//! Anthropic messages.

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
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    max_tokens: Option<Count>,
    stream: Option<bool>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    user_id: Option<Text<'a>>,
}

pub(super) fn facts(body: &[u8]) -> serde_json::Result<Facts> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    let stream = request.stream.unwrap_or(false);
    Ok(Facts {
        model: request.model.map(|model| model.0.into()),
        end_user: request
            .metadata
            .and_then(|metadata| metadata.user_id)
            .map(|user| user.0.into()),
        stream,
        // usage is in every Anthropic stream, asked for or not
        asks_usage: stream,
        output_cap: request.max_tokens.map(|cap| cap.0),
        choices: 1,
        prompt_bytes: [request.system, request.tools, request.messages]
            .iter()
            .flatten()
            .map(|raw| raw.get().len())
            .sum(),
    })
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    delta: Option<Delta>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
}

/// Only whether something is there; the text itself is not read.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Delta {
    text: NotEmpty,
    thinking: NotEmpty,
    partial_json: NotEmpty,
    stop_reason: NotEmpty,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(default)]
    text: NotEmpty,
    #[serde(default)]
    thinking: NotEmpty,
}

pub(super) fn stream_event(data: &[u8]) -> StreamEvent {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
        return StreamEvent::Nothing;
    };
    let delta = event.delta.unwrap_or_default();
    match event.kind.as_ref().map(|kind| kind.0.as_ref()) {
        Some("error") => {
            ProviderError::from_body(data).map_or(StreamEvent::Nothing, StreamEvent::Error)
        }
        Some("content_block_delta") if delta.text.0 || delta.thinking.0 || delta.partial_json.0 => {
            StreamEvent::Content
        }
        // a tool call, a search result, redacted thinking: the block's start carries content;
        // text and thinking start empty and are content with their first delta
        Some("content_block_start")
            if event.content_block.is_some_and(|block| {
                let kind = block.kind.as_ref().map(|kind| kind.0.as_ref());
                !matches!(kind, Some("text" | "thinking")) || block.text.0 || block.thinking.0
            }) =>
        {
            StreamEvent::Content
        }
        Some("message_delta") if delta.stop_reason.0 => StreamEvent::Finished,
        Some("message_stop") => StreamEvent::Finished,
        _ => StreamEvent::Nothing,
    }
}
