//! The deltas of an event: a tool call has the number of its output item.

use serde::Deserialize;

use crate::stream::{
    Delta, DeltaKind,
    delta::{Deltas, Field, text_of},
};

pub(super) fn read(data: &[u8], out: &mut Deltas) {
    #[derive(Deserialize)]
    struct Happened<'a> {
        #[serde(borrow, rename = "type")]
        kind: Field<'a>,
        output_index: Option<u64>,
        #[serde(borrow)]
        delta: Field<'a>,
        #[serde(borrow)]
        item: Option<Item<'a>>,
    }

    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, rename = "type")]
        kind: Field<'a>,
        #[serde(borrow)]
        call_id: Field<'a>,
        #[serde(borrow)]
        name: Field<'a>,
    }

    let Ok(event) = serde_json::from_slice::<Happened<'_>>(data) else {
        return;
    };
    let index = event.output_index.unwrap_or(0);
    match text_of(event.kind).as_deref().unwrap_or_default() {
        "response.output_text.delta" => out.say(0, DeltaKind::Text, event.delta),
        "response.refusal.delta" => out.say(0, DeltaKind::Refusal, event.delta),
        "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
            out.say(0, DeltaKind::Reasoning, event.delta);
        }
        "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
            out.say(0, DeltaKind::call(index, None, None), event.delta);
        }
        "response.output_item.added" => {
            let item = event.item.filter(|item| {
                let kind = text_of(item.kind).unwrap_or_default();
                matches!(&*kind, "function_call" | "custom_tool_call")
            });
            if let Some(item) = item {
                out.push(Delta::new(
                    0,
                    DeltaKind::call(index, item.call_id, item.name),
                    "",
                ));
            }
        }
        _ => {}
    }
}
