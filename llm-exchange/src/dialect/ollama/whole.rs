//! Ollama: lines to the whole answer, and back.

use crate::{
    sse::Event,
    stream::{
        collect::Collect,
        tree::{Object, Tree, Unexpected},
    },
};

/// Lines put together: the last one, which has the counts, with what all of them said.
#[derive(Default)]
pub(super) struct Collected {
    answer: Object,
}

impl Collect for Collected {
    fn event(&mut self, data: &[u8]) -> Result<(), Unexpected> {
        for (name, value) in Object::parse(data)?.into_fields() {
            match (&*name, self.answer.get_mut(&name)) {
                ("message" | "response" | "thinking", Some(known)) => known.grow(value)?,
                _ => self.answer.set_known(&name, value),
            }
        }
        Ok(())
    }

    fn into_answer(self: Box<Self>) -> Result<Object, Unexpected> {
        Ok(self.answer)
    }
}

/// The lines that a stream with this answer would have had: its reasoning, its text, its tool calls,
/// and all the rest.
pub(super) fn expand(answer: Object) -> Result<Vec<Event>, Unexpected> {
    if !answer.get("done").is_some_and(Tree::is_true) {
        return Err(Unexpected);
    }
    let mut repeated = Object::default();
    for name in ["model", "created_at"] {
        if let Some(value) = answer.get(name) {
            repeated.set(name, value.clone());
        }
    }
    let mut lines = Vec::new();
    let mut line = |name: &str, said: Tree| {
        let line = repeated.clone().with(name, said).with("done", Tree::no());
        lines.push(Event::new(line.to_json()));
    };
    let mut last = answer;
    if let Some(message) = last.get("message").filter(|message| !message.is_null()) {
        let mut message = message.clone().object()?;
        let mut role = Object::default();
        if let Some(value) = message.get("role") {
            role.set("role", value.clone());
        }
        for name in ["thinking", "content", "tool_calls"] {
            let Some(value) = message.remove(name).filter(|value| !value.is_null()) else {
                continue;
            };
            if value.as_text().is_none_or(|text| !text.is_empty()) {
                line("message", role.clone().with(name, value).into());
            }
            if name == "content" {
                message.set("content", Tree::text(""));
            }
        }
        last.set("message", message.into());
    }
    for name in ["thinking", "response"] {
        if let Some(text) = last.text(name).filter(|text| !text.is_empty()) {
            let text = Tree::text(text);
            line(name, text);
            last.set(name, Tree::text(""));
        }
    }
    lines.push(Event::new(last.to_json()));
    Ok(lines)
}
