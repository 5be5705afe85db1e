//! Events put together.

use std::collections::BTreeMap;

use crate::stream::{
    collect::Collect,
    tree::{Object, Tree, Unexpected},
};

/// More parts of one item than any answer has.
const MOST_PARTS: usize = 1024;

/// Events put together to the response that would have come without a stream: the last event's, with
/// the items that came before it where it does not say them again.
#[derive(Default)]
pub(super) struct Collected {
    response: Object,
    items: BTreeMap<u64, Item>,
}

/// An item of the output. Once it is done, all of it was said.
#[derive(Default)]
struct Item {
    item: Object,
    is_done: bool,
    content: BTreeMap<u64, Object>,
    summary: BTreeMap<u64, Object>,
}

impl Collect for Collected {
    fn event(&mut self, data: &[u8]) -> Result<(), Unexpected> {
        let mut event = Object::parse(data)?;
        let kind = event.text("type").ok_or(Unexpected)?.into_owned();
        match kind.strip_prefix("response.").unwrap_or_default() {
            "output_item.added" => self.item(&event)?.item = field(&mut event, "item")?,
            "output_item.done" => {
                let whole = field(&mut event, "item")?;
                let item = self.item(&event)?;
                item.item = whole;
                item.is_done = true;
            }
            "content_part.added" => {
                let part = field(&mut event, "part")?;
                *self.item(&event)?.content(&event)? = part;
            }
            "reasoning_summary_part.added" => {
                let part = field(&mut event, "part")?;
                *self.item(&event)?.summary(&event)? = part;
            }
            "output_text.delta" => self.item(&event)?.content(&event)?.say("text", &event)?,
            "refusal.delta" => self.item(&event)?.content(&event)?.say("refusal", &event)?,
            "reasoning_text.delta" => {
                let part = self.item(&event)?.content(&event)?;
                part.set_known("type", Tree::text("reasoning_text"));
                part.say("text", &event)?;
            }
            "reasoning_summary_text.delta" => {
                self.item(&event)?.summary(&event)?.say("text", &event)?;
            }
            "function_call_arguments.delta" | "mcp_call_arguments.delta" => {
                self.item(&event)?.item.say("arguments", &event)?;
            }
            "custom_tool_call_input.delta" => self.item(&event)?.item.say("input", &event)?,
            "code_interpreter_call_code.delta" => self.item(&event)?.item.say("code", &event)?,
            "completed" | "incomplete" => self.response = field(&mut event, "response")?,
            _ => {}
        }
        Ok(())
    }

    fn into_answer(mut self: Box<Self>) -> Result<Object, Unexpected> {
        let output = self.response.get("output").cloned();
        let said = output.is_some_and(|output| output.list().is_ok_and(|list| !list.is_empty()));
        if !said {
            let items = self.items.into_values().map(|item| item.whole().into());
            self.response.set("output", Tree::List(items.collect()));
        }
        Ok(self.response)
    }
}

fn field(event: &mut Object, name: &str) -> Result<Object, Unexpected> {
    event.remove(name).ok_or(Unexpected)?.object()
}

impl Collected {
    fn item(&mut self, event: &Object) -> Result<&mut Item, Unexpected> {
        numbered(&mut self.items, event, "output_index")
    }
}

fn numbered<'m, T: Default>(
    map: &'m mut BTreeMap<u64, T>,
    event: &Object,
    number: &str,
) -> Result<&'m mut T, Unexpected> {
    let number = event.get(number).and_then(Tree::as_number).unwrap_or(0);
    if map.len() >= MOST_PARTS && !map.contains_key(&number) {
        return Err(Unexpected);
    }
    Ok(map.entry(number).or_default())
}

impl Item {
    fn content(&mut self, event: &Object) -> Result<&mut Object, Unexpected> {
        numbered(&mut self.content, event, "content_index")
    }

    fn summary(&mut self, event: &Object) -> Result<&mut Object, Unexpected> {
        numbered(&mut self.summary, event, "summary_index")
    }

    /// An item that was cut off is what came of it.
    fn whole(mut self) -> Object {
        if self.is_done {
            return self.item;
        }
        for (name, parts) in [("content", self.content), ("summary", self.summary)] {
            if !parts.is_empty() {
                let parts = parts.into_values().map(Tree::from).collect();
                self.item.set(name, Tree::List(parts));
            }
        }
        if self.item.get("status").is_some() {
            self.item.set("status", Tree::text("incomplete"));
        }
        self.item
    }
}

impl Object {
    /// The event's delta is the next piece of this field.
    fn say(&mut self, field: &str, event: &Self) -> Result<(), Unexpected> {
        let delta = event.text("delta").ok_or(Unexpected)?;
        match self.get_mut(field) {
            Some(known) => known.grow(Tree::text(delta)),
            None => {
                self.set(field, Tree::text(delta));
                Ok(())
            }
        }
    }
}
