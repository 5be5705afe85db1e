//! The deltas of a chunk.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::stream::{
    Delta, DeltaKind,
    delta::{Deltas, text_of},
};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Pieces<'a>>,
}

#[derive(Deserialize)]
struct Pieces<'a> {
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
    #[serde(borrow)]
    custom: Option<Function<'a>>,
}

/// A custom tool's `input` is what a function's `arguments` are.
#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// A part of a content that is a list, as Mistral sends it.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
}

/// Reads the deltas of a chunk. What is no chunk has none.
pub(super) fn read(data: &[u8], out: &mut Deltas) {
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        return;
    };
    for choice in chunk.choices.into_iter().flatten() {
        let Some(pieces) = choice.delta else { continue };
        let index = choice.index.unwrap_or(0);
        // servers that send both names send the same text twice
        out.say(
            index,
            DeltaKind::Reasoning,
            pieces.reasoning_content.or(pieces.reasoning),
        );
        out.say(index, DeltaKind::Text, pieces.content);
        for part in parts(pieces.content) {
            for part in parts(part.thinking) {
                out.say(index, DeltaKind::Reasoning, part.text);
            }
            out.say(index, DeltaKind::Text, part.text);
        }
        out.say(index, DeltaKind::Refusal, pieces.refusal);
        for (position, call) in pieces.tool_calls.into_iter().flatten().enumerate() {
            let number = call.index.unwrap_or(position as u64);
            let function = call.function.or(call.custom);
            out.push(called(index, number, call.id, function));
        }
        if let Some(function) = pieces.function_call {
            out.push(called(index, 0, None, Some(function)));
        }
    }
}

fn called(choice: u64, index: u64, id: Option<&RawValue>, function: Option<Function<'_>>) -> Delta {
    let name = function.as_ref().and_then(|function| function.name);
    let arguments = function.and_then(|function| function.arguments.or(function.input));
    let kind = DeltaKind::call(index, id, name);
    let arguments = text_of(arguments);
    Delta::new(choice, kind, arguments.unwrap_or_default())
}

fn parts(field: Option<&RawValue>) -> Vec<Part<'_>> {
    let list = field.filter(|field| field.get().starts_with('['));
    list.and_then(|list| serde_json::from_str(list.get()).ok())
        .unwrap_or_default()
}
