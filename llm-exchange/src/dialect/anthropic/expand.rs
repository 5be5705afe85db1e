//! A message taken apart to events.

use crate::{
    sse::Event,
    stream::tree::{Object, Tree, Unexpected},
};

/// The events that a stream with this message would have had; a block is said in one piece.
pub(super) fn expand(mut message: Object) -> Result<Vec<Event>, Unexpected> {
    let content = message.remove("content").ok_or(Unexpected)?.list()?;
    let usage = message.remove("usage").filter(|usage| !usage.is_null());
    let mut end = Object::default();
    let mut start = Object::default();
    for (name, value) in message.into_fields() {
        match &*name {
            "stop_reason" | "stop_sequence" => {
                start.set(&name, Tree::null());
                end.set(&name, value);
            }
            "stop_details" | "container" => end.set(&name, value),
            _ => start.set(&name, value),
        }
    }
    start.set("content", Tree::List(Vec::new()));
    let mut generated = Object::default();
    if let Some(usage) = usage {
        let mut at_start = usage.object()?;
        for name in ["output_tokens", "output_tokens_details", "server_tool_use"] {
            if let Some(value) = at_start.remove(name) {
                generated.set(name, value);
            }
        }
        // counts are cumulative, and none is generated yet
        at_start.set("output_tokens", Tree::number(0));
        start.set("usage", at_start.into());
    }
    let mut events = Vec::new();
    push(
        &mut events,
        "message_start",
        Object::default().with("message", start.into()),
    );
    for (index, block) in content.into_iter().enumerate() {
        expand_block(&mut events, index as u64, block.object()?);
    }
    let end = Object::default()
        .with("delta", end.into())
        .with("usage", generated.into());
    push(&mut events, "message_delta", end);
    push(&mut events, "message_stop", Object::default());
    Ok(events)
}

fn expand_block(events: &mut Vec<Event>, index: u64, mut block: Object) {
    let mut deltas = Vec::new();
    let mut grows = |block: &mut Object, field: &str, delta: &str| {
        let Some(value) = block.get_mut(field) else {
            return;
        };
        if value.as_text().is_some_and(|text| !text.is_empty()) {
            let text = std::mem::replace(value, Tree::text(""));
            let delta = Object::default().with("type", Tree::text(delta));
            deltas.push(delta.with(field, text));
        }
    };
    match block.text("type").as_deref() {
        Some("text") => {
            grows(&mut block, "text", "text_delta");
            cited(&mut block, &mut deltas);
        }
        Some("thinking") => {
            grows(&mut block, "thinking", "thinking_delta");
            grows(&mut block, "signature", "signature_delta");
        }
        Some(kind) if kind.ends_with("tool_use") => {
            if let Some(input) = block.get_mut("input") {
                let nothing = Object::default().into();
                let json = std::mem::replace(input, nothing).to_json();
                if json != "{}" {
                    let delta = Object::default().with("type", Tree::text("input_json_delta"));
                    deltas.push(delta.with("partial_json", Tree::text(json)));
                }
            }
        }
        _ => {}
    }
    let numbered = || Object::default().with("index", Tree::number(index));
    push(
        events,
        "content_block_start",
        numbered().with("content_block", block.into()),
    );
    for delta in deltas {
        push(
            events,
            "content_block_delta",
            numbered().with("delta", delta.into()),
        );
    }
    push(events, "content_block_stop", numbered());
}

/// A text's citations, which come one by one.
fn cited(block: &mut Object, deltas: &mut Vec<Object>) {
    let Some(citations) = block.get_mut("citations") else {
        return;
    };
    if let Ok(list) = citations.clone().list() {
        *citations = Tree::List(Vec::new());
        deltas.extend(list.into_iter().map(|citation| {
            let delta = Object::default().with("type", Tree::text("citations_delta"));
            delta.with("citation", citation)
        }));
    }
}

fn push(events: &mut Vec<Event>, kind: &str, fields: Object) {
    let event = Object::default().with("type", Tree::text(kind));
    let event = fields
        .into_fields()
        .fold(event, |event, (name, value)| event.with(&name, value));
    events.push(Event::named(kind, event.to_json()));
}
