//! Amazon Bedrock's Converse: the same for the models of every vendor.

mod deltas;
mod usage;
mod whole;

use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use super::{
    json::{self as text, Count, Spoken, Text, bytes_of, media},
    json_start,
    wire::{Framing, Place, Problem, Seen, Wire},
};
use crate::{
    Tokens,
    call::{Facts, Unreadable},
    host::model_and_verb,
    meter::{Open, Reading},
    stream::ending::Last,
};

pub(super) const WIRE: Wire = Wire {
    name: "bedrock_converse",
    route: |path| path.bedrock("converse", "converse-stream", |_| true),
    path_at_host: model_and_verb,
    needs_version: false,
    key_header: |_| None,
    framing: Framing::EventStream,
    framing_asked: |_| None,
    framing_of_json: None,
    goes_both_ways: false,
    reads_comments: true,
    has_last_word: true,
    facts,
    model: Place::Nowhere,
    output_cap: &[Place::Within("inferenceConfig", "maxTokens")],
    usage_on_request: false,
    read_event,
    deltas: deltas::read,
    collect: || Some(Box::<whole::Collected>::default()),
    expand: |answer, _| whole::expand(answer),
    read_answer,
    usage: ("usage", usage::read),
    // the usage comes after the last message's end
    is_complete: |reading| reading.done && reading.all_finished(),
    looks_like_error: |start| json_start::starts_with_member(start, b"message", None),
    error,
    ended_by_error: |_| Vec::new(),
    ended_by_limit,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_config: Option<&'a RawValue>,
    inference_config: Option<InferenceConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig {
    max_tokens: Option<Count>,
}

fn facts(body: &[u8]) -> Result<Facts, Unreadable> {
    let request: Request<'_> = text::request(body)?;
    let prompt = [request.system, request.tool_config, request.messages];
    let cap = request
        .inference_config
        .and_then(|config| config.max_tokens);
    Ok(Facts {
        output_cap: cap.map(|cap| cap.0),
        choices: 1,
        prompt_bytes: bytes_of(&prompt),
        media: media(&prompt),
        ..Facts::default()
    })
}

/// The payload of any frame of a stream: which event it is, its members tell.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    start: Option<Start<'a>>,
    #[serde(borrow)]
    delta: Option<Block<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<Tier<'a>>,
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    content_block_index: Option<Count>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
}

/// A delta, or a block of a whole answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolUse<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Tier<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    output: Option<Output<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<Tier<'a>>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Vec<Block<'a>>>,
}

impl<'a> ToolUse<'a> {
    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        spoken.silently();
        spoken.say(self.name, reading);
        spoken.say(self.input, reading);
    }
}

impl<'a> Block<'a> {
    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        spoken.say(self.text, reading);
        if let Some(tool) = &self.tool_use {
            tool.read(spoken, reading);
        }
        spoken.say(self.reasoning_content, reading);
    }
}

fn read_event(data: &[u8], reading: &mut Reading) -> Seen {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
        return Seen::default();
    };
    let mut spoken = Spoken::default();
    if event.role.is_some() {
        reading.choice(0);
    }
    if let Some(Count(index)) = event.content_block_index {
        // only a tool's block has a start; an event with neither is a block's end
        if event.start.is_some() || event.delta.is_some() {
            reading.begin_block(index);
        } else {
            reading.end_block(index);
        }
    }
    if let Some(tool) = event
        .start
        .as_ref()
        .and_then(|start| start.tool_use.as_ref())
    {
        tool.read(&mut spoken, reading);
    }
    if let Some(delta) = &event.delta {
        delta.read(&mut spoken, reading);
    }
    if let Some(reason) = &event.stop_reason {
        reading.finish(0, &reason.0);
    }
    if let Some(usage) = event.usage {
        usage::read(usage.get().as_bytes(), reading);
        reading.done = true;
    }
    set_tier(event.service_tier, reading);
    let ended = event.stop_reason.is_some() || event.usage.is_some();
    Seen::content_or_end(spoken.is_any(), ended).with_text(&spoken, data)
}

fn read_answer(body: &[u8], reading: &mut Reading) {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body) else {
        return;
    };
    let Some(reason) = &answer.stop_reason else {
        Seen::error(body, reading);
        return;
    };
    reading.finish(0, &reason.0);
    reading.done = true;
    let message = answer.output.and_then(|output| output.message);
    for block in message.and_then(|message| message.content).iter().flatten() {
        block.read(&mut Spoken::default(), reading);
    }
    if let Some(usage) = answer.usage {
        usage::read(usage.get().as_bytes(), reading);
    }
    set_tier(answer.service_tier, reading);
}

fn set_tier(tier: Option<Tier<'_>>, reading: &mut Reading) {
    if let Some(kind) = tier.and_then(|tier| tier.kind) {
        reading.set_tier(&kind.0);
    }
}

/// `{"message"}`, as Amazon writes it; the kind stands in a header, and our code beside it.
fn error(problem: &Problem<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        message: &'a str,
        code: &'a str,
    }

    text::written(&Body {
        message: problem.message,
        code: problem.code,
    })
}

fn ended_by_limit(open: &Open, tokens: Tokens, _: bool) -> Vec<Last> {
    let stops = open.blocks.iter().map(|index| {
        let stop = json!({"contentBlockIndex": index});
        Last::named("contentBlockStop", stop.to_string())
    });
    let usage = json!({"usage": {"inputTokens": tokens.input, "outputTokens": tokens.output,
        "totalTokens": tokens.total()}});
    let last = [
        Last::named(
            "messageStop",
            json!({"stopReason": "max_tokens"}).to_string(),
        ),
        Last::named("metadata", usage.to_string()),
    ];
    stops.chain(last).collect()
}
