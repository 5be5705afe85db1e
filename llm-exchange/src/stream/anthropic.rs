//! Anthropic messages: events to deltas, to the whole message, and back.

mod collect;
mod expand;

use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) use self::{collect::Collected, expand::expand};
use super::{
    Delta, DeltaKind,
    delta::{Deltas, text_of},
};

#[derive(Deserialize)]
struct Happened<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Pieces<'a>>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
}

#[derive(Deserialize)]
struct Pieces<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
}

/// Reads the deltas of an event. What is no event of a message has none.
pub(crate) fn deltas(data: &[u8], out: &mut Deltas) {
    let Ok(event) = serde_json::from_slice::<Happened<'_>>(data) else {
        return;
    };
    let index = event.index.unwrap_or(0);
    let mut say = |kind, field| {
        if let Some(text) = text_of(field) {
            out.push(Delta::new(0, kind, text));
        }
    };
    if let Some(block) = event.content_block {
        say(DeltaKind::Text, block.text);
        say(DeltaKind::Reasoning, block.thinking);
        let kind = text_of(block.kind).unwrap_or_default();
        if kind.ends_with("tool_use") {
            let call = DeltaKind::ToolCall {
                index,
                id: text_of(block.id).map(Into::into),
                name: text_of(block.name).map(Into::into),
            };
            out.push(Delta::new(0, call, ""));
        }
    } else if let Some(pieces) = event.delta {
        say(DeltaKind::Text, pieces.text);
        say(DeltaKind::Reasoning, pieces.thinking);
        let call = DeltaKind::ToolCall {
            index,
            id: None,
            name: None,
        };
        say(call, pieces.partial_json);
    }
}
