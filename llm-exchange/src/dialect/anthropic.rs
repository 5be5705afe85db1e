//! Anthropic messages.

mod collect;
mod deltas;
mod ending;
mod expand;
mod request;
mod usage;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::usage::Counts;
use super::{
    json::{self, MaybeCount, Spoken, Text, range_within},
    json_start,
    wire::{Framing, Place, Problem, Seen, Wire},
};
use crate::{
    meter::{Holes, Reading, StreamEvent},
    provider_error::ProviderError,
    stream::ending::Last,
};

pub(super) const WIRE: Wire = Wire {
    name: "anthropic_messages",
    route: request::route,
    path_at_host: request::path_at_host,
    needs_version: true,
    key_header: request::key_header,
    framing: Framing::Sse,
    framing_asked: |uri| {
        let wrapped = uri.path().ends_with("/invoke-with-response-stream");
        wrapped.then_some(Framing::EventStream)
    },
    framing_of_json: None,
    goes_both_ways: false,
    reads_comments: true,
    has_last_word: true,
    facts: request::facts,
    model: Place::Member("model"),
    output_cap: &[Place::Member("max_tokens")],
    // usage is in every stream, asked for or not
    usage_on_request: false,
    read_event,
    deltas: deltas::read,
    collect: || Some(Box::<collect::Collected>::default()),
    expand: |answer, _| expand::expand(answer),
    read_answer,
    usage: ("usage", usage::read),
    is_complete: |reading| reading.done,
    looks_like_error,
    error,
    ended_by_error: |problem| vec![Last::named("error", error(problem))],
    ended_by_limit: ending::by_limit,
};

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
    #[serde(borrow)]
    usage: Option<Counts<'a>>,
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
    #[serde(borrow)]
    usage: Option<Counts<'a>>,
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

fn read_event(data: &[u8], reading: &mut Reading) -> Seen {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
        return Seen::error(data, reading);
    };
    let kind = event.kind.as_ref().map(|kind| kind.0.as_ref());
    let mut spoken = Spoken::default();
    match kind {
        // without a type: Google's shape, on Vertex AI, or a proxy's
        Some("error") | None => return Seen::error(data, reading),
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

fn read_answer(body: &[u8], reading: &mut Reading) {
    let Ok(answer) = serde_json::from_slice::<Message<'_>>(body) else {
        return;
    };
    reading.done = true;
    answer.read(&mut Spoken::default(), reading);
    if let Some(error) = ProviderError::from_body(body) {
        reading.fail(error);
    }
}

/// Vertex AI may answer in Google's shape.
fn looks_like_error(start: &[u8]) -> Option<bool> {
    // `message` is Amazon's, of a model that is invoked
    for name in [&b"error"[..], b"message"] {
        if json_start::starts_with_member(start, name, None)? {
            return Some(true);
        }
    }
    json_start::starts_with_member(start, b"type", Some(b"error"))
}

/// `{"type":"error","error":{"type","message","details":{"error_code"}}}`.
fn error(problem: &Problem<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'a str,
        error: Error<'a>,
    }

    #[derive(Serialize)]
    struct Error<'a> {
        r#type: &'a str,
        message: &'a str,
        details: Details<'a>,
    }

    #[derive(Serialize)]
    struct Details<'a> {
        error_code: &'a str,
    }

    json::written(&Body {
        r#type: "error",
        error: Error {
            r#type: error_type(problem.status),
            message: problem.message,
            details: Details {
                error_code: problem.code,
            },
        },
    })
}

const fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
