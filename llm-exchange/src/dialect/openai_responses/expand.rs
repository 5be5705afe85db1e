//! A response taken apart to events.

use crate::{
    sse::Event,
    stream::tree::{Object, Tree, Unexpected},
};

/// The events that a stream with this response would have had; what they say is said in one piece each.
pub(super) fn expand(response: Object) -> Result<Vec<Event>, Unexpected> {
    let status = response.text("status").ok_or(Unexpected)?;
    let last = match &*status {
        "completed" => "response.completed",
        "incomplete" => "response.incomplete",
        // one that failed or goes on elsewhere is no answer
        _ => return Err(Unexpected),
    };
    let output = response.get("output").cloned().ok_or(Unexpected)?.list()?;
    let begun = response
        .clone()
        .with("status", Tree::text("in_progress"))
        .with("incomplete_details", Tree::null())
        .with("output", Tree::List(Vec::new()))
        .with("usage", Tree::null());
    let mut events = Events::default();
    for kind in ["response.created", "response.in_progress"] {
        events.push(
            kind,
            Object::default().with("response", begun.clone().into()),
        );
    }
    for (index, item) in output.into_iter().enumerate() {
        events.item(index as u64, item.object()?)?;
    }
    events.push(last, Object::default().with("response", response.into()));
    Ok(events.0)
}

#[derive(Default)]
struct Events(Vec<Event>);

impl Events {
    fn push(&mut self, kind: &str, fields: Object) {
        let number = Tree::number(self.0.len() as u64);
        let event = Object::default()
            .with("type", Tree::text(kind))
            .with("sequence_number", number);
        let fields = fields.into_fields();
        let event = fields.fold(event, |event, (name, value)| event.with(&name, value));
        self.0.push(Event::named(kind, event.to_json()));
    }

    fn item(&mut self, index: u64, item: Object) -> Result<(), Unexpected> {
        let numbered = || Object::default().with("output_index", Tree::number(index));
        let id = item.get("id").cloned().unwrap_or_else(Tree::null);
        let within = || numbered().with("item_id", id.clone());

        let mut begun = item.clone();
        if begun.get("status").is_some() {
            begun.set("status", Tree::text("in_progress"));
        }
        let mut parts = Vec::new();
        for (name, number) in [("content", "content_index"), ("summary", "summary_index")] {
            if let Some(list) = begun.get_mut(name).filter(|list| !list.is_null()) {
                let list = std::mem::replace(list, Tree::List(Vec::new())).list()?;
                let list = list.into_iter().enumerate();
                parts.extend(list.map(|(at, part)| (number, at as u64, part)));
            }
        }
        // a call's text, which grows in the item itself
        let mut grows = None;
        for (name, event) in [
            ("arguments", "response.function_call_arguments"),
            ("input", "response.custom_tool_call_input"),
        ] {
            let kind = begun.text("type").unwrap_or_default();
            if matches!(&*kind, "function_call" | "custom_tool_call")
                && let Some(text) = begun.text(name)
            {
                let text = Tree::text(text);
                begun.set(name, Tree::text(""));
                grows = Some((name, event, text));
                break;
            }
        }
        self.push(
            "response.output_item.added",
            numbered().with("item", begun.into()),
        );
        for (number, at, part) in parts {
            let place = within().with(number, Tree::number(at));
            self.part(number == "summary_index", &place, part.object()?);
        }
        if let Some((name, event, text)) = grows {
            if text.as_text().is_some_and(|text| !text.is_empty()) {
                self.push(
                    &format!("{event}.delta"),
                    within().with("delta", text.clone()),
                );
            }
            self.push(&format!("{event}.done"), within().with(name, text));
        }
        self.push(
            "response.output_item.done",
            numbered().with("item", item.into()),
        );
        Ok(())
    }

    fn part(&mut self, of_summary: bool, place: &Object, part: Object) {
        let kind = part.text("type").unwrap_or_default().into_owned();
        let (event, field) = match &*kind {
            "refusal" => ("response.refusal", "refusal"),
            "reasoning_text" => ("response.reasoning_text", "text"),
            "summary_text" => ("response.reasoning_summary_text", "text"),
            _ => ("response.output_text", "text"),
        };
        let around = if of_summary {
            "response.reasoning_summary_part"
        } else {
            "response.content_part"
        };
        let mut begun = part.clone();
        let text = begun.text(field).map(Tree::text);
        if text.is_some() {
            begun.set(field, Tree::text(""));
        }
        self.push(
            &format!("{around}.added"),
            place.clone().with("part", begun.into()),
        );
        if let Some(text) = text {
            if text.as_text().is_some_and(|text| !text.is_empty()) {
                self.push(
                    &format!("{event}.delta"),
                    place.clone().with("delta", text.clone()),
                );
            }
            self.push(&format!("{event}.done"), place.clone().with(field, text));
        }
        self.push(
            &format!("{around}.done"),
            place.clone().with("part", part.into()),
        );
    }
}
