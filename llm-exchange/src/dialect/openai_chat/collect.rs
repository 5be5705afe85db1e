//! Chunks put together.

use std::collections::BTreeMap;

use crate::stream::{
    collect::Collect,
    tree::{Object, Tree, Unexpected},
};

/// Random characters that hide the length of a chunk.
const NOISE: &str = "obfuscation";

/// Chunks put together to the answer that would have come without a stream.
#[derive(Default)]
pub(super) struct Collected {
    /// All fields of the chunks but the choices; the last that says something counts.
    envelope: Object,
    choices: BTreeMap<u64, Collecting>,
}

#[derive(Default)]
struct Collecting {
    choice: Object,
    message: Object,
}

impl Collect for Collected {
    fn event(&mut self, data: &[u8]) -> Result<(), Unexpected> {
        if data.starts_with(b"[DONE]") {
            return Ok(());
        }
        for (name, value) in Object::parse(data)?.into_fields() {
            match &*name {
                NOISE => {}
                "choices" => {
                    if !value.is_null() {
                        self.choices(value.list()?)?;
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
        self.envelope.set("object", Tree::text("chat.completion"));
        let choices = self.choices.into_iter();
        let choices = choices
            .map(|(index, choice)| choice.into_choice(index).map(Tree::from))
            .collect::<Result<_, _>>()?;
        self.envelope.set("choices", Tree::List(choices));
        if self.envelope.get("usage").is_some_and(Tree::is_null) {
            self.envelope.remove("usage");
        }
        Ok(self.envelope)
    }
}

impl Collected {
    fn choices(&mut self, choices: Vec<Tree>) -> Result<(), Unexpected> {
        for choice in choices {
            let choice = choice.object()?;
            let index = choice.get("index").and_then(Tree::as_number).unwrap_or(0);
            self.choices.entry(index).or_default().add(choice)?;
        }
        Ok(())
    }
}

impl Collecting {
    fn add(&mut self, choice: Object) -> Result<(), Unexpected> {
        for (name, value) in choice.into_fields() {
            match &*name {
                "delta" => {
                    if !value.is_null() {
                        self.message.grow(value.object()?)?;
                    }
                    self.choice.set_known("message", Tree::null());
                }
                // lists that go on
                "logprobs" => match self.choice.get_mut("logprobs") {
                    Some(known) => known.grow(value)?,
                    None => self.choice.set("logprobs", value),
                },
                _ => self.choice.set_known(&name, value),
            }
        }
        Ok(())
    }

    fn into_choice(mut self, index: u64) -> Result<Object, Unexpected> {
        let message = &mut self.message;
        message.set_known("role", Tree::null());
        if message.text("role").is_none() {
            message.set("role", Tree::text("assistant"));
        }
        message.set_known("content", Tree::null());
        if let Some(calls) = message.remove("tool_calls") {
            let mut whole = Vec::new();
            for call in calls.list()? {
                let mut call = call.object()?;
                // numbers are of streams alone
                call.remove("index");
                whole.push(call.into());
            }
            message.set("tool_calls", Tree::List(whole));
        }
        self.choice.set("index", Tree::number(index));
        self.choice.set("message", self.message.into());
        Ok(self.choice)
    }
}
