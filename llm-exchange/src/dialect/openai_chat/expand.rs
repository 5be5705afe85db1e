//! An answer taken apart to chunks.

use crate::{
    sse::Event,
    stream::tree::{Object, Tree, Unexpected},
};

/// The fields that every chunk of a stream repeats.
const REPEATED: [&str; 7] = [
    "id",
    "object",
    "created",
    "model",
    "service_tier",
    "system_fingerprint",
    "provider",
];

/// The chunks that a stream with this answer would have had; what they say is said in one piece each.
pub(super) fn expand(mut answer: Object, with_usage: bool) -> Result<Vec<Event>, Unexpected> {
    let choices = answer.remove("choices").ok_or(Unexpected)?.list()?;
    let usage = answer.remove("usage").filter(|usage| !usage.is_null());
    answer.set("object", Tree::text("chat.completion.chunk"));
    let mut chunks = Chunks {
        repeated: Object::default(),
        once: answer,
        with_usage,
        events: Vec::new(),
    };
    for name in REPEATED {
        if let Some(value) = chunks.once.get(name) {
            chunks.repeated.set(name, value.clone());
        }
    }
    for (position, choice) in choices.into_iter().enumerate() {
        chunks.choice(position as u64, choice.object()?)?;
    }
    if with_usage && let Some(usage) = usage {
        let last = chunks.envelope().with("choices", Tree::List(Vec::new()));
        chunks.push(last.with("usage", usage));
    }
    chunks.events.push(Event::new("[DONE]"));
    Ok(chunks.events)
}

struct Chunks {
    repeated: Object,
    /// Everything of the answer's envelope: the first chunk's.
    once: Object,
    with_usage: bool,
    events: Vec<Event>,
}

impl Chunks {
    fn choice(&mut self, position: u64, mut choice: Object) -> Result<(), Unexpected> {
        let index = choice.remove("index").and_then(|index| index.as_number());
        let index = index.unwrap_or(position);
        let message = choice.remove("message").ok_or(Unexpected)?.object()?;
        let mut logprobs = choice.remove("logprobs");

        let mut start = Object::default();
        let (mut reasoning, mut said, mut rest) = (Vec::new(), Vec::new(), Object::default());
        let mut calls = Vec::new();
        for (name, value) in message.into_fields() {
            match &*name {
                "role" => start.set("role", value),
                _ if value.is_null() => start.set(&name, value),
                "content" | "refusal" if value.as_text().is_some() => {
                    start.set(&name, Tree::text(""));
                    if value.as_text().is_some_and(|text| !text.is_empty()) {
                        said.push(Object::default().with(&name, value));
                    }
                }
                "content" => said.push(Object::default().with(&name, value)),
                "reasoning" | "reasoning_content" | "reasoning_details" => {
                    reasoning.push(Object::default().with(&name, value));
                }
                "tool_calls" => calls = value.list()?,
                _ => rest.set(&name, value),
            }
        }
        self.delta(index, start, None);
        for delta in reasoning {
            self.delta(index, delta, None);
        }
        for delta in said {
            self.delta(index, delta, logprobs.take());
        }
        for (number, call) in calls.into_iter().enumerate() {
            let [announced, arguments] = call_deltas(number as u64, call.object()?)?;
            for call in [announced, arguments] {
                if !call.is_empty() {
                    let calls = Tree::List(vec![call.into()]);
                    self.delta(index, Object::default().with("tool_calls", calls), None);
                }
            }
        }
        if !rest.is_empty() {
            self.delta(index, rest, None);
        }
        let end = Object::default()
            .with("index", Tree::number(index))
            .with("delta", Object::default().into())
            .with("logprobs", logprobs.unwrap_or_else(Tree::null));
        let fields = choice.into_fields();
        let end = fields.fold(end, |end, (name, value)| end.with(&name, value));
        self.chunk(end);
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: Object, logprobs: Option<Tree>) {
        let choice = Object::default()
            .with("index", Tree::number(index))
            .with("delta", delta.into())
            .with("logprobs", logprobs.unwrap_or_else(Tree::null))
            .with("finish_reason", Tree::null());
        self.chunk(choice);
    }

    fn chunk(&mut self, choice: Object) {
        let mut chunk = self.envelope();
        chunk.set("choices", Tree::List(vec![choice.into()]));
        if self.with_usage {
            chunk.set("usage", Tree::null());
        }
        self.push(chunk);
    }

    fn envelope(&mut self) -> Object {
        if self.once.is_empty() {
            self.repeated.clone()
        } else {
            std::mem::take(&mut self.once)
        }
    }

    fn push(&mut self, chunk: Object) {
        self.events.push(Event::new(chunk.to_json()));
    }
}

/// A tool call announced with no arguments yet, and its arguments.
fn call_deltas(number: u64, call: Object) -> Result<[Object; 2], Unexpected> {
    let numbered = || Object::default().with("index", Tree::number(number));
    let (mut announced, mut arguments) = (numbered(), Object::default());
    for (name, value) in call.into_fields() {
        let field = match &*name {
            "function" => "arguments",
            "custom" => "input",
            _ => {
                announced.set(&name, value);
                continue;
            }
        };
        let mut function = value.object()?;
        if let Some(text) = function
            .get_mut(field)
            .filter(|text| text.as_text().is_some())
        {
            let text = std::mem::replace(text, Tree::text(""));
            let function = Object::default().with(field, text);
            arguments = numbered().with(&name, function.into());
        }
        announced.set(&name, function.into());
    }
    Ok([announced, arguments])
}
