//! Anthropic messages.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Seen,
    json::{Count, MaybeCount, Spoken, Text, media, range_within},
};
use crate::{
    Usage,
    call::Facts,
    meter::{Holes, Reading, StreamEvent, UsageParts},
    provider_error::ProviderError,
};

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
    let prompt = [request.system, request.tools, request.messages];
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
        prompt_bytes: prompt.iter().flatten().map(|raw| raw.get().len()).sum(),
        media: media(&prompt),
    })
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(default)]
    index: MaybeCount,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    usage: Option<Wire>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
}

/// A block's start in a stream, or a whole block of an answer.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

impl<'a> Block<'a> {
    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        let kind = self.kind.as_ref().map(|kind| kind.0.as_ref());
        spoken.say(self.text, reading);
        spoken.say(self.thinking, reading);
        // a tool call, a search result, redacted thinking: the block itself is content; text and
        // thinking start empty and are content with their first delta
        if !matches!(kind, Some("text" | "thinking")) {
            spoken.silently();
            spoken.say(self.name, reading);
            spoken.say(self.input, reading);
        }
    }
}

/// The message at a stream's start, or a whole answer.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    content: Option<Vec<Block<'a>>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    usage: Option<Wire>,
}

impl<'a> Message<'a> {
    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        reading.choice(0);
        if let Some(id) = &self.id {
            reading.set_id(&id.0);
        }
        if let Some(model) = &self.model {
            reading.set_model(&model.0);
        }
        for block in self.content.iter().flatten() {
            block.read(spoken, reading);
        }
        if let Some(reason) = &self.stop_reason {
            reading.finish(0, &reason.0);
        }
        if let Some(usage) = &self.usage {
            usage.merge(reading);
        }
    }
}

/// Three counts of the prompt beside each other. In a stream they come in parts: each field that is
/// there replaces its last value, as all are cumulative.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    input_tokens: MaybeCount,
    cache_creation_input_tokens: MaybeCount,
    cache_read_input_tokens: MaybeCount,
    cache_creation: Option<Creation>,
    output_tokens: MaybeCount,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<ServerTools>,
    service_tier: Option<String>,
    speed: Option<String>,
    inference_geo: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Creation {
    ephemeral_1h_input_tokens: MaybeCount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: MaybeCount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServerTools {
    web_search_requests: MaybeCount,
}

impl Wire {
    fn merge(&self, reading: &mut Reading) {
        let parts = &mut reading.parts;
        let creation = self.cache_creation.as_ref();
        let details = self.output_tokens_details.as_ref();
        let tools = self.server_tool_use.as_ref();
        for (part, new) in [
            (&mut parts.input, self.input_tokens),
            (&mut parts.cached, self.cache_read_input_tokens),
            (&mut parts.cache_write, self.cache_creation_input_tokens),
            (
                &mut parts.cache_write_long,
                creation.map_or(MaybeCount(None), |of| of.ephemeral_1h_input_tokens),
            ),
            (&mut parts.output, self.output_tokens),
            (
                &mut parts.reasoning,
                details.map_or(MaybeCount(None), |of| of.thinking_tokens),
            ),
            (
                &mut parts.web_searches,
                tools.map_or(MaybeCount(None), |of| of.web_search_requests),
            ),
        ] {
            *part = new.0.or(*part);
        }
        if let Some(usage) = usage(parts) {
            reading.set_usage(usage);
        }
        if let Some(tier) = &self.service_tier {
            reading.set_tier(tier);
        }
        if let Some(speed) = &self.speed {
            reading.set_speed(speed);
        }
        if let Some(geo) = &self.inference_geo {
            reading.set_geo(geo);
        }
    }
}

fn usage(parts: &UsageParts) -> Option<Usage> {
    if parts.input.is_none() && parts.output.is_none() {
        return None;
    }
    let output = parts.output.unwrap_or(0);
    let reasoning = parts.reasoning.unwrap_or(0).min(output);
    let long = parts.cache_write_long.unwrap_or(0);
    Some(Usage {
        uncached: parts.input.unwrap_or(0),
        cached: parts.cached.unwrap_or(0),
        cache_write: parts.cache_write.unwrap_or(0).saturating_sub(long),
        cache_write_long: long,
        visible: output - reasoning,
        reasoning,
        web_searches: parts.web_searches.unwrap_or(0),
        ..Usage::default()
    })
}

pub(super) fn read_event(data: &[u8], reading: &mut Reading) -> Seen {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
        return StreamEvent::Nothing.into();
    };
    let kind = event.kind.as_ref().map(|kind| kind.0.as_ref());
    let mut spoken = Spoken::default();
    match kind {
        Some("error") => {
            return match ProviderError::from_body(data) {
                Some(error) => {
                    reading.fail(error);
                    StreamEvent::Error.into()
                }
                None => StreamEvent::Nothing.into(),
            };
        }
        Some("message_start") => {
            if let Some(message) = &event.message {
                message.read(&mut spoken, reading);
            }
        }
        Some("content_block_start") => {
            reading.begin_block(event.index.0.unwrap_or(0));
            if let Some(block) = &event.content_block {
                block.read(&mut spoken, reading);
            }
        }
        Some("content_block_delta") => {
            if let Some(delta) = &event.delta {
                spoken.say(delta.text, reading);
                spoken.say(delta.thinking, reading);
                spoken.say(delta.partial_json, reading);
                spoken.other(delta.citation);
            }
        }
        Some("content_block_stop") => reading.end_block(event.index.0.unwrap_or(0)),
        Some("message_delta") => {
            if let Some(usage) = &event.usage {
                usage.merge(reading);
            }
            if let Some(reason) = event
                .delta
                .as_ref()
                .and_then(|delta| delta.stop_reason.as_ref())
            {
                reading.finish(0, &reason.0);
                return StreamEvent::Finished.into();
            }
        }
        Some("message_stop") => {
            reading.done = true;
            return StreamEvent::Finished.into();
        }
        _ => {}
    }
    let holes = spoken.only().and_then(|text| {
        Some(Holes {
            text: range_within(data, text)?,
            noise: None,
        })
    });
    Seen {
        event: if spoken.is_any() {
            StreamEvent::Content
        } else {
            StreamEvent::Nothing
        },
        holes: holes.filter(|_| kind == Some("content_block_delta")),
        usage_only: false,
    }
}

pub(super) fn read_answer(body: &[u8], reading: &mut Reading) {
    let Ok(answer) = serde_json::from_slice::<Message<'_>>(body) else {
        return;
    };
    reading.done = true;
    answer.read(&mut Spoken::default(), reading);
    if let Some(error) = ProviderError::from_body(body) {
        reading.fail(error);
    }
}

/// The usage at the start of the bytes.
pub(super) fn read_usage(json: &[u8], reading: &mut Reading) {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<Wire>();
    if let Some(Ok(usage)) = values.next() {
        usage.merge(reading);
    }
}

pub(super) fn is_complete(reading: &Reading) -> bool {
    reading.done
}
