//! OpenAI responses: named events, and the whole response with its usage in the last one.

mod collect;
mod deltas;
mod expand;

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    json::{self as text, Count, MaybeCount, Spoken, Text, bytes_of, media},
    json_start, openai_chat, openai_error, openai_usage,
    wire::{Framing, Place, Problem, Seen, Wire},
};
use crate::{
    Tokens,
    call::{Facts, Unreadable},
    meter::{Open, Reading, StreamEvent},
    provider_error::ProviderError,
    stream::ending::Last,
};

pub(super) const WIRE: Wire = Wire {
    name: "openai_responses",
    route: |path| path.openai("", "responses"),
    path_at_host: |_| "/v1/responses",
    needs_version: false,
    key_header: |_| None,
    framing: Framing::Sse,
    framing_asked: |_| None,
    framing_of_json: None,
    goes_both_ways: false,
    reads_comments: true,
    has_last_word: true,
    facts,
    model: Place::Member("model"),
    output_cap: &[Place::Member("max_output_tokens")],
    usage_on_request: false,
    read_event,
    deltas: deltas::read,
    collect: || Some(Box::<collect::Collected>::default()),
    expand: |answer, _| expand::expand(answer),
    read_answer,
    usage: ("usage", openai_usage::read),
    is_complete: |reading| reading.done,
    looks_like_error,
    error: openai_error::error,
    ended_by_error,
    ended_by_limit,
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    max_output_tokens: Option<Count>,
    stream: Option<bool>,
    #[serde(borrow)]
    safety_identifier: Option<Text<'a>>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
}

fn facts(body: &[u8]) -> Result<Facts, Unreadable> {
    let request: Request<'_> = text::request(body)?;
    let prompt = [request.instructions, request.tools, request.input];
    Ok(Facts {
        model: request.model.map(|model| model.0.into()),
        end_user: openai_chat::end_user(request.safety_identifier, request.user),
        stream: request.stream.unwrap_or(false),
        asks_usage: false,
        output_cap: request.max_output_tokens.map(|cap| cap.0),
        choices: 1,
        prompt_bytes: bytes_of(&prompt),
        media: media(&prompt),
    })
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<Item<'a>>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(default)]
    sequence_number: MaybeCount,
}

/// A part of the output: a message, reasoning, a tool call, ...
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    service_tier: Option<Text<'a>>,
    #[serde(borrow)]
    incomplete_details: Option<Incomplete<'a>>,
    #[serde(borrow)]
    output: Option<Vec<Item<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    created_at: MaybeCount,
}

#[derive(Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

impl<'a> Item<'a> {
    /// A message and reasoning begin empty, and are content with their first delta; a call of a tool
    /// is content as soon as it is there.
    fn begins_with_content(&self) -> bool {
        let kind = self.kind.as_ref().map(|kind| kind.0.as_ref());
        !matches!(kind, None | Some("message" | "reasoning"))
    }

    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        for text in [
            self.name,
            self.content,
            self.summary,
            self.arguments,
            self.input,
        ] {
            spoken.say(text, reading);
        }
    }
}

impl Response<'_> {
    fn read(&self, reading: &mut Reading) {
        for (value, set) in [
            (&self.id, Reading::set_id as fn(&mut Reading, &str)),
            (&self.model, Reading::set_model),
            (&self.service_tier, Reading::set_tier),
        ] {
            if let Some(value) = value {
                set(reading, &value.0);
            }
        }
        reading.created = self.created_at.0.or(reading.created);
        if let Some(usage) = self.usage {
            openai_usage::read(usage.get().as_bytes(), reading);
        }
    }

    /// The response is over, for now: one in the background is still to come.
    fn end(&self, reading: &mut Reading) {
        let status = self.status.as_ref().map(|status| &*status.0);
        let incomplete = self.incomplete_details.as_ref();
        let reason = incomplete.and_then(|details| details.reason.as_ref());
        let finish = match (status, reason) {
            (Some("incomplete"), Some(reason)) => &*reason.0,
            (Some(status), _) => status,
            (None, _) => "completed",
        };
        reading.finish(0, finish);
        reading.done = true;
    }
}

fn read_event(data: &[u8], reading: &mut Reading) -> Seen {
    // some gateways append what the API does not have
    if data.starts_with(b"[DONE]") {
        return StreamEvent::Nothing.into();
    }
    let Ok(event) = serde_json::from_slice::<Data<'_>>(data) else {
        return Seen::error(data, reading);
    };
    if let Some(number) = event.sequence_number.0 {
        reading.next_event = number.saturating_add(1);
    }
    let kind = event.kind.as_ref().map_or("", |kind| &*kind.0);
    let response = event
        .response
        .and_then(|raw| serde_json::from_str::<Response<'_>>(raw.get()).ok());
    if let Some(response) = &response {
        response.read(reading);
    }
    match kind {
        "response.completed" | "response.incomplete" | "response.failed" => {
            if let Some(response) = &response {
                response.end(reading);
            }
            reading.done = true;
            if kind == "response.failed" {
                return Seen::error(data, reading);
            }
            StreamEvent::Finished.into()
        }
        "error" => Seen::error(data, reading),
        "response.output_item.added" => {
            let mut spoken = Spoken::default();
            if let Some(item) = event
                .item
                .as_ref()
                .filter(|item| item.begins_with_content())
            {
                spoken.silently();
                spoken.say(item.name, reading);
            }
            Seen::content_or_end(spoken.is_any(), false)
        }
        kind if kind.ends_with(".delta") => {
            let mut spoken = Spoken::default();
            // its transcript is the text of it
            if kind == "response.audio.delta" {
                spoken.other(event.delta);
            } else {
                spoken.say(event.delta, reading);
            }
            Seen::content_or_end(spoken.is_any(), false).with_text(&spoken, data)
        }
        // no event of this API, but perhaps a server's error
        "" => Seen::error(data, reading),
        _ => StreamEvent::Nothing.into(),
    }
}

fn read_answer(body: &[u8], reading: &mut Reading) {
    let Ok(answer) = serde_json::from_slice::<Response<'_>>(body) else {
        return;
    };
    answer.read(reading);
    for item in answer.output.iter().flatten() {
        item.read(&mut Spoken::default(), reading);
    }
    answer.end(reading);
    if let Some(error) = ProviderError::from_body(body) {
        reading.fail(error);
    }
}

/// A response that failed is a 200 like any other.
fn looks_like_error(start: &[u8]) -> Option<bool> {
    json_start::members_tell(start, |name, value| match (name, value) {
        (b"status", Some(value)) => Some(value == b"\"failed\""),
        (b"error", Some(value)) if value != b"null" => Some(true),
        (b"output", _) => Some(false),
        _ => None,
    })
}

/// Flat, unlike an error's body.
fn ended_by_error(problem: &Problem<'_>) -> Vec<Last> {
    let event = json!({"type": "error", "code": problem.code, "message": problem.message,
        "param": null, "sequence_number": problem.event_number});
    vec![Last::named("error", event.to_string())]
}

/// The output so far is in the events that passed, and not said again.
fn ended_by_limit(open: &Open, tokens: Tokens, _: bool) -> Vec<Last> {
    let usage = json!({"input_tokens": tokens.input, "output_tokens": tokens.output,
        "total_tokens": tokens.total(),
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0}});
    let response = json!({"id": open.id, "object": "response",
        "created_at": open.created.unwrap_or(0), "status": "incomplete",
        "error": null, "incomplete_details": {"reason": "max_output_tokens"},
        "model": open.model, "output": [], "usage": usage});
    let name = "response.incomplete";
    let event = json!({"type": name, "sequence_number": open.next_event, "response": response});
    vec![Last::named(name, event.to_string())]
}
