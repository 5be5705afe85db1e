//! OpenAI's old completions: chunks to the whole answer, and back.

use std::collections::BTreeMap;

use crate::{
    sse::Event,
    stream::{
        collect::Collect,
        tree::{Object, Tree, Unexpected},
    },
};

/// Chunks put together.
#[derive(Default)]
pub(super) struct Collected {
    /// All fields of the chunks but the choices; the last that says something counts.
    envelope: Object,
    choices: BTreeMap<u64, Object>,
}

impl Collect for Collected {
    fn event(&mut self, data: &[u8]) -> Result<(), Unexpected> {
        if data.starts_with(b"[DONE]") {
            return Ok(());
        }
        for (name, value) in Object::parse(data)?.into_fields() {
            match &*name {
                "choices" => {
                    if !value.is_null() {
                        for choice in value.list()? {
                            self.choice(choice.object()?)?;
                        }
                    }
                    // holds the place
                    self.envelope.set_known("choices", Tree::null());
                }
                _ => self.envelope.set_known(&name, value),
            }
        }
        Ok(())
    }

    fn into_answer(mut self: Box<Self>) -> Result<Object, Unexpected> {
        let choices = self.choices.into_values().map(Tree::from).collect();
        self.envelope.set("choices", Tree::List(choices));
        if self.envelope.get("usage").is_some_and(Tree::is_null) {
            self.envelope.remove("usage");
        }
        Ok(self.envelope)
    }
}

impl Collected {
    fn choice(&mut self, choice: Object) -> Result<(), Unexpected> {
        let index = choice.get("index").and_then(Tree::as_number).unwrap_or(0);
        let whole = self.choices.entry(index).or_default();
        for (name, value) in choice.into_fields() {
            match (&*name, whole.get_mut(&name)) {
                // a text and lists that go on
                ("text" | "logprobs", Some(known)) => known.grow(value)?,
                _ => whole.set_known(&name, value),
            }
        }
        Ok(())
    }
}

/// The chunks that a stream with this answer would have had; a text is said in one piece.
pub(super) fn expand(mut answer: Object, with_usage: bool) -> Result<Vec<Event>, Unexpected> {
    let choices = answer.remove("choices").ok_or(Unexpected)?.list()?;
    let usage = answer.remove("usage").filter(|usage| !usage.is_null());
    let mut events = Vec::new();
    let mut chunk = |choices: Vec<Tree>, usage: Option<Tree>| {
        let mut chunk = answer.clone().with("choices", Tree::List(choices));
        if with_usage {
            chunk.set("usage", usage.unwrap_or_else(Tree::null));
        }
        events.push(Event::new(chunk.to_json()));
    };
    for choice in choices {
        let mut end = choice.object()?;
        let mut said = Object::default();
        for name in ["text", "index", "logprobs"] {
            if let Some(value) = end.get(name) {
                said.set(name, value.clone());
            }
        }
        end.set("text", Tree::text(""));
        end.set("logprobs", Tree::null());
        chunk(vec![said.with("finish_reason", Tree::null()).into()], None);
        chunk(vec![end.into()], None);
    }
    if with_usage && let Some(usage) = usage {
        chunk(Vec::new(), Some(usage));
    }
    events.push(Event::new("[DONE]"));
    Ok(events)
}
