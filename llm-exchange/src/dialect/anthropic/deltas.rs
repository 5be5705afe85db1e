//! The deltas of an event.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::stream::{
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
pub(super) fn read(data: &[u8], out: &mut Deltas) {
    let Ok(event) = serde_json::from_slice::<Happened<'_>>(data) else {
        return;
    };
    let index = event.index.unwrap_or(0);
    if let Some(block) = event.content_block {
        out.say(0, DeltaKind::Text, block.text);
        out.say(0, DeltaKind::Reasoning, block.thinking);
        let kind = text_of(block.kind).unwrap_or_default();
        if kind.ends_with("tool_use") {
            let call = DeltaKind::call(index, block.id, block.name);
            out.push(Delta::new(0, call, ""));
        }
    } else if let Some(pieces) = event.delta {
        out.say(0, DeltaKind::Text, pieces.text);
        out.say(0, DeltaKind::Reasoning, pieces.thinking);
        out.say(0, DeltaKind::call(index, None, None), pieces.partial_json);
    }
}
