//! The deltas of an event: a tool call has the number of its content block.

use serde::Deserialize;

use crate::stream::{
    Delta, DeltaKind,
    delta::{Deltas, Field},
};

pub(super) fn read(data: &[u8], out: &mut Deltas) {
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
        tool_use_id: Field<'a>,
        #[serde(borrow)]
        name: Field<'a>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Pieces<'a> {
        #[serde(borrow)]
        text: Field<'a>,
        #[serde(borrow)]
        reasoning_content: Option<Reasoning<'a>>,
        #[serde(borrow)]
        tool_use: Option<Input<'a>>,
    }

    #[derive(Deserialize)]
    struct Reasoning<'a> {
        #[serde(borrow)]
        text: Field<'a>,
    }

    #[derive(Deserialize)]
    struct Input<'a> {
        #[serde(borrow)]
        input: Field<'a>,
    }

    let Ok(event) = serde_json::from_slice::<Happened<'_>>(data) else {
        return;
    };
    let index = event.content_block_index.unwrap_or(0);
    if let Some(tool) = event.start.and_then(|start| start.tool_use) {
        out.push(Delta::new(
            0,
            DeltaKind::call(index, tool.tool_use_id, tool.name),
            "",
        ));
    }
    if let Some(pieces) = event.delta {
        let reasoning = pieces
            .reasoning_content
            .and_then(|reasoning| reasoning.text);
        out.say(0, DeltaKind::Reasoning, reasoning);
        out.say(0, DeltaKind::Text, pieces.text);
        let input = pieces.tool_use.and_then(|tool| tool.input);
        out.say(0, DeltaKind::call(index, None, None), input);
    }
}
