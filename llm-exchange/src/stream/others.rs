//! The deltas of the other dialects: one small reader each.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Delta, DeltaKind,
    delta::{Deltas, text_of},
};

type Raw<'a> = Option<&'a RawValue>;

fn say(out: &mut Deltas, choice: u64, kind: DeltaKind, field: Raw<'_>) {
    if let Some(text) = text_of(field) {
        out.push(Delta::new(choice, kind, text));
    }
}

fn call(index: u64, id: Raw<'_>, name: Raw<'_>) -> DeltaKind {
    DeltaKind::ToolCall {
        index,
        id: text_of(id).map(Into::into),
        name: text_of(name).map(Into::into),
    }
}

/// Arguments as they stand, where they are JSON and not a text of it.
fn json_of(field: Raw<'_>) -> String {
    field.map(RawValue::get).unwrap_or_default().to_owned()
}

/// OpenAI's old completions.
pub(crate) fn completions(data: &[u8], out: &mut Deltas) {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        choices: Option<Vec<Choice<'a>>>,
    }

    #[derive(Deserialize)]
    struct Choice<'a> {
        index: Option<u64>,
        #[serde(borrow)]
        text: Raw<'a>,
    }

    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        return;
    };
    for choice in chunk.choices.into_iter().flatten() {
        say(out, choice.index.unwrap_or(0), DeltaKind::Text, choice.text);
    }
}

/// OpenAI responses: a tool call has the number of its output item.
pub(crate) fn responses(data: &[u8], out: &mut Deltas) {
    #[derive(Deserialize)]
    struct Happened<'a> {
        #[serde(borrow, rename = "type")]
        kind: Raw<'a>,
        output_index: Option<u64>,
        #[serde(borrow)]
        delta: Raw<'a>,
        #[serde(borrow)]
        item: Option<Item<'a>>,
    }

    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, rename = "type")]
        kind: Raw<'a>,
        #[serde(borrow)]
        call_id: Raw<'a>,
        #[serde(borrow)]
        name: Raw<'a>,
    }

    let Ok(event) = serde_json::from_slice::<Happened<'_>>(data) else {
        return;
    };
    let index = event.output_index.unwrap_or(0);
    match text_of(event.kind).as_deref().unwrap_or_default() {
        "response.output_text.delta" => say(out, 0, DeltaKind::Text, event.delta),
        "response.refusal.delta" => say(out, 0, DeltaKind::Refusal, event.delta),
        "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
            say(out, 0, DeltaKind::Reasoning, event.delta);
        }
        "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
            say(out, 0, call(index, None, None), event.delta);
        }
        "response.output_item.added" => {
            let item = event.item.filter(|item| {
                let kind = text_of(item.kind).unwrap_or_default();
                matches!(&*kind, "function_call" | "custom_tool_call")
            });
            if let Some(item) = item {
                out.push(Delta::new(0, call(index, item.call_id, item.name), ""));
            }
        }
        _ => {}
    }
}

/// Gemini: a function call comes whole, and has no number; it is given the next one.
pub(crate) fn gemini(data: &[u8], out: &mut Deltas) {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        candidates: Option<Vec<Candidate<'a>>>,
    }

    #[derive(Deserialize)]
    struct Candidate<'a> {
        index: Option<u64>,
        #[serde(borrow)]
        content: Option<Content<'a>>,
    }

    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        parts: Option<Vec<Part<'a>>>,
    }

    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        text: Raw<'a>,
        thought: Option<bool>,
        #[serde(borrow, alias = "function_call", rename = "functionCall")]
        function_call: Option<FunctionCall<'a>>,
    }

    #[derive(Deserialize)]
    struct FunctionCall<'a> {
        #[serde(borrow)]
        id: Raw<'a>,
        #[serde(borrow)]
        name: Raw<'a>,
        #[serde(borrow)]
        args: Raw<'a>,
    }

    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        return;
    };
    for candidate in chunk.candidates.into_iter().flatten() {
        let choice = candidate.index.unwrap_or(0);
        let parts = candidate.content.and_then(|content| content.parts);
        for part in parts.into_iter().flatten() {
            let kind = match part.thought {
                Some(true) => DeltaKind::Reasoning,
                _ => DeltaKind::Text,
            };
            say(out, choice, kind, part.text);
            if let Some(function) = part.function_call {
                let kind = call(out.next_call(), function.id, function.name);
                out.push(Delta::new(choice, kind, json_of(function.args)));
            }
        }
    }
}

/// Ollama's lines: a tool call comes whole, and is given the next number.
pub(crate) fn ollama(data: &[u8], out: &mut Deltas) {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        message: Option<Message<'a>>,
        #[serde(borrow)]
        response: Raw<'a>,
        #[serde(borrow)]
        thinking: Raw<'a>,
    }

    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        content: Raw<'a>,
        #[serde(borrow)]
        thinking: Raw<'a>,
        #[serde(borrow)]
        tool_calls: Option<Vec<ToolCall<'a>>>,
    }

    #[derive(Deserialize)]
    struct ToolCall<'a> {
        #[serde(borrow)]
        function: Option<Function<'a>>,
    }

    #[derive(Deserialize)]
    struct Function<'a> {
        #[serde(borrow)]
        name: Raw<'a>,
        #[serde(borrow)]
        arguments: Raw<'a>,
    }

    let Ok(line) = serde_json::from_slice::<Line<'_>>(data) else {
        return;
    };
    say(out, 0, DeltaKind::Reasoning, line.thinking);
    say(out, 0, DeltaKind::Text, line.response);
    let Some(message) = line.message else { return };
    say(out, 0, DeltaKind::Reasoning, message.thinking);
    say(out, 0, DeltaKind::Text, message.content);
    let calls = message.tool_calls.into_iter().flatten();
    for function in calls.filter_map(|call| call.function) {
        let kind = call(out.next_call(), None, function.name);
        out.push(Delta::new(0, kind, json_of(function.arguments)));
    }
}

/// Bedrock's Converse: a tool call has the number of its content block.
pub(crate) fn converse(data: &[u8], out: &mut Deltas) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Happened<'a> {
        content_block_index: Option<u64>,
        #[serde(borrow)]
        start: Option<Start<'a>>,
        #[serde(borrow)]
        delta: Option<Pieces<'a>>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Start<'a> {
        #[serde(borrow)]
        tool_use: Option<Named<'a>>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named<'a> {
        #[serde(borrow)]
        tool_use_id: Raw<'a>,
        #[serde(borrow)]
        name: Raw<'a>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Pieces<'a> {
        #[serde(borrow)]
        text: Raw<'a>,
        #[serde(borrow)]
        reasoning_content: Option<Reasoning<'a>>,
        #[serde(borrow)]
        tool_use: Option<Input<'a>>,
    }

    #[derive(Deserialize)]
    struct Reasoning<'a> {
        #[serde(borrow)]
        text: Raw<'a>,
    }

    #[derive(Deserialize)]
    struct Input<'a> {
        #[serde(borrow)]
        input: Raw<'a>,
    }

    let Ok(event) = serde_json::from_slice::<Happened<'_>>(data) else {
        return;
    };
    let index = event.content_block_index.unwrap_or(0);
    if let Some(tool) = event.start.and_then(|start| start.tool_use) {
        out.push(Delta::new(0, call(index, tool.tool_use_id, tool.name), ""));
    }
    if let Some(pieces) = event.delta {
        let reasoning = pieces
            .reasoning_content
            .and_then(|reasoning| reasoning.text);
        say(out, 0, DeltaKind::Reasoning, reasoning);
        say(out, 0, DeltaKind::Text, pieces.text);
        let input = pieces.tool_use.and_then(|tool| tool.input);
        say(out, 0, call(index, None, None), input);
    }
}
