//! Events put together.

use std::collections::BTreeMap;

use crate::stream::{
    collect::Collect,
    partial::input,
    tree::{Object, Tree, Unexpected},
};

/// Events put together to the message that would have come without a stream.
#[derive(Default)]
pub(super) struct Collected {
    message: Object,
    blocks: BTreeMap<u64, Collecting>,
}

#[derive(Default)]
struct Collecting {
    block: Object,
    /// A tool's input, which comes as pieces of JSON text.
    input: String,
}

impl Collect for Collected {
    fn event(&mut self, data: &[u8]) -> Result<(), Unexpected> {
        let mut event = Object::parse(data)?;
        let kind = event.remove("type").ok_or(Unexpected)?;
        match kind.as_text().as_deref() {
            Some("message_start") => {
                self.message = event.remove("message").ok_or(Unexpected)?.object()?;
            }
            Some("content_block_start") => {
                let block = event.remove("content_block").ok_or(Unexpected)?.object()?;
                self.block(&event).block = block;
            }
            Some("content_block_delta") => {
                let delta = event.remove("delta").ok_or(Unexpected)?.object()?;
                self.block(&event).add(delta)?;
            }
            Some("message_delta") => self.message_delta(event)?,
            Some("message_stop") => {
                // gateways put figures of their own here
                for (name, value) in event.into_fields() {
                    self.message.set_known(&name, value);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn into_answer(mut self: Box<Self>) -> Result<Object, Unexpected> {
        let cut = self.message.text("stop_reason").as_deref() == Some("max_tokens");
        let mut content = match self.message.remove("content") {
            Some(content) if !content.is_null() => content.list()?,
            _ => Vec::new(),
        };
        for (_, block) in self.blocks {
            content.push(block.into_block(cut)?.into());
        }
        self.message.set("content", Tree::List(content));
        Ok(self.message)
    }
}

impl Collected {
    fn block(&mut self, event: &Object) -> &mut Collecting {
        let index = event.get("index").and_then(Tree::as_number).unwrap_or(0);
        self.blocks.entry(index).or_default()
    }

    fn message_delta(&mut self, event: Object) -> Result<(), Unexpected> {
        for (name, value) in event.into_fields() {
            match &*name {
                "delta" => {
                    for (name, value) in value.object()?.into_fields() {
                        self.message.set_known(&name, value);
                    }
                }
                "usage" if !value.is_null() => self.usage(value.object()?)?,
                _ => self.message.set_known(&name, value),
            }
        }
        Ok(())
    }

    /// Counts are cumulative: each that is said replaces the one before.
    fn usage(&mut self, said: Object) -> Result<(), Unexpected> {
        let known = self
            .message
            .remove("usage")
            .filter(|usage| !usage.is_null());
        let mut usage = known.map_or(Ok(Object::default()), Tree::object)?;
        for (name, value) in said.into_fields() {
            usage.set_known(&name, value);
        }
        self.message.set("usage", usage.into());
        Ok(())
    }
}

impl Collecting {
    fn add(&mut self, mut delta: Object) -> Result<(), Unexpected> {
        let kind = delta.remove("type").ok_or(Unexpected)?;
        match kind.as_text().as_deref() {
            Some("input_json_delta") => {
                let piece = delta.text("partial_json").ok_or(Unexpected)?;
                self.input.push_str(&piece);
            }
            Some("citations_delta") => {
                let citation = delta.remove("citation").ok_or(Unexpected)?;
                let mut citations = match self.block.remove("citations") {
                    Some(citations) if !citations.is_null() => citations.list()?,
                    _ => Vec::new(),
                };
                citations.push(citation);
                self.block.set("citations", Tree::List(citations));
            }
            // text, thinking, signatures, and what comes tomorrow: fields of the block that grow
            _ => self.block.grow(delta)?,
        }
        Ok(())
    }

    /// `cut`: the model was stopped by its cap, so that its JSON may lack its end.
    fn into_block(mut self, cut: bool) -> Result<Object, Unexpected> {
        if let Some(input) = input(&self.input, cut)? {
            self.block.set("input", input);
        }
        Ok(self.block)
    }
}
