//! Bedrock's Converse: events to the whole answer, and back.

use std::collections::BTreeMap;

use crate::{
    sse::Event,
    stream::{
        collect::Collect,
        partial::input,
        tree::{Object, Tree, Unexpected},
    },
};

/// More blocks than any answer has.
const MOST_BLOCKS: usize = 1024;
/// Characters that hide the length of a frame.
const NOISE: &str = "p";
const NUMBER: &str = "contentBlockIndex";

/// Events put together. Which one it is, its members tell.
#[derive(Default)]
pub(super) struct Collected {
    role: Option<Tree>,
    blocks: BTreeMap<u64, Block>,
    /// What the last two events say.
    end: Object,
}

#[derive(Default)]
struct Block {
    block: Object,
    /// A tool's input, which comes as pieces of JSON text.
    input: String,
    reasoning: Object,
    citations: Vec<Tree>,
}

impl Collect for Collected {
    fn event(&mut self, data: &[u8]) -> Result<(), Unexpected> {
        let event = Object::parse(data)?;
        let number = event.get(NUMBER).and_then(Tree::as_number).unwrap_or(0);
        for (name, value) in event.into_fields() {
            match &*name {
                NUMBER | NOISE => {}
                "role" => self.role = Some(value),
                "start" => self.block(number)?.block = value.object()?,
                "delta" => self.block(number)?.add(value.object()?)?,
                _ => self.end.set_known(&name, value),
            }
        }
        Ok(())
    }

    fn into_answer(self: Box<Self>) -> Result<Object, Unexpected> {
        let cut = self.end.text("stopReason").as_deref() == Some("max_tokens");
        let blocks = self.blocks.into_values();
        let blocks = blocks.map(|block| block.whole(cut).map(Tree::from));
        let content = Tree::List(blocks.collect::<Result<_, _>>()?);
        let role = self.role.unwrap_or_else(|| Tree::text("assistant"));
        let message = Object::default()
            .with("role", role)
            .with("content", content);
        let output = Object::default().with("message", message.into());
        let answer = Object::default().with("output", output.into());
        let end = self.end.into_fields();
        Ok(end.fold(answer, |answer, (name, value)| answer.with(&name, value)))
    }
}

impl Collected {
    fn block(&mut self, number: u64) -> Result<&mut Block, Unexpected> {
        if self.blocks.len() >= MOST_BLOCKS && !self.blocks.contains_key(&number) {
            return Err(Unexpected);
        }
        Ok(self.blocks.entry(number).or_default())
    }
}

impl Block {
    fn add(&mut self, delta: Object) -> Result<(), Unexpected> {
        for (name, value) in delta.into_fields() {
            match &*name {
                "toolUse" => {
                    let tool = value.object()?;
                    self.input.push_str(&tool.text("input").unwrap_or_default());
                }
                "reasoningContent" => self.reasoning.grow(value.object()?)?,
                "citation" => self.citations.push(value),
                _ => self.block.grow(Object::default().with(&name, value))?,
            }
        }
        Ok(())
    }

    fn whole(mut self, cut: bool) -> Result<Object, Unexpected> {
        if let Some(tool) = self.block.remove("toolUse") {
            let mut tool = tool.object()?;
            let whole = match input(&self.input, cut)? {
                Some(input) => input,
                None => Object::default().into(),
            };
            tool.set("input", whole);
            self.block.set("toolUse", tool.into());
        }
        if !self.reasoning.is_empty() {
            let mut whole = Object::default();
            if let Some(redacted) = self.reasoning.remove("redactedContent") {
                whole.set("redactedContent", redacted);
            } else {
                whole.set("reasoningText", self.reasoning.into());
            }
            self.block.set("reasoningContent", whole.into());
        }
        if !self.citations.is_empty() {
            let text = self.block.remove("text").unwrap_or_else(|| Tree::text(""));
            let text = Object::default().with("text", text);
            let cited = Object::default()
                .with("content", Tree::List(vec![text.into()]))
                .with("citations", Tree::List(self.citations));
            self.block.set("citationsContent", cited.into());
        }
        Ok(self.block)
    }
}

/// The events that a stream with this answer would have had; a block is said in one piece.
pub(super) fn expand(mut answer: Object) -> Result<Vec<Event>, Unexpected> {
    let output = answer.remove("output").ok_or(Unexpected)?;
    let message = output.object()?.remove("message").ok_or(Unexpected)?;
    let mut message = message.object()?;
    let content = message.remove("content").ok_or(Unexpected)?.list()?;
    let mut events = Vec::new();
    let mut push = |name: &str, event: Object| {
        events.push(Event::named(name, event.to_json()));
    };
    push("messageStart", message);
    for (number, block) in content.into_iter().enumerate() {
        let numbered = || Object::default().with(NUMBER, Tree::number(number as u64));
        let (start, deltas) = taken_apart(block.object()?)?;
        if let Some(start) = start {
            push("contentBlockStart", numbered().with("start", start.into()));
        }
        for delta in deltas {
            push("contentBlockDelta", numbered().with("delta", delta.into()));
        }
        push("contentBlockStop", numbered());
    }
    let mut stop = Object::default();
    for name in ["stopReason", "additionalModelResponseFields"] {
        if let Some(value) = answer.remove(name) {
            stop.set(name, value);
        }
    }
    push("messageStop", stop);
    push("metadata", answer);
    Ok(events)
}

/// The start of a block, if it has one, and its deltas.
fn taken_apart(mut block: Object) -> Result<(Option<Object>, Vec<Object>), Unexpected> {
    let one = |name: &str, value: Tree| Object::default().with(name, value);
    if let Some(tool) = block.remove("toolUse") {
        let mut tool = tool.object()?;
        let input = tool.remove("input").map(|input| input.to_json());
        let input = input.filter(|json| json != "{}").map(Tree::text);
        let deltas = input.map(|input| one("toolUse", one("input", input).into()));
        return Ok((
            Some(one("toolUse", tool.into())),
            deltas.into_iter().collect(),
        ));
    }
    let mut deltas = Vec::new();
    if let Some(reasoning) = block.remove("reasoningContent") {
        let mut reasoning = reasoning.object()?;
        let text = match reasoning.remove("reasoningText") {
            Some(text) => text.object()?,
            None => reasoning,
        };
        let pieces = text.into_fields();
        deltas
            .extend(pieces.map(|(name, value)| one("reasoningContent", one(&name, value).into())));
    }
    if let Some(cited) = block.remove("citationsContent") {
        let mut cited = cited.object()?;
        if let Some(content) = cited.remove("content") {
            for text in content.list()? {
                deltas.push(text.object()?);
            }
        }
        if let Some(citations) = cited.remove("citations") {
            let citations = citations.list()?.into_iter();
            deltas.extend(citations.map(|citation| one("citation", citation)));
        }
    }
    let rest = block.into_fields();
    deltas.extend(rest.map(|(name, value)| one(&name, value)));
    Ok((None, deltas))
}
