//! An answer, written as the stream of an Anthropic message.

use super::answer::{message, stop_reason, usage};
use crate::{
    answer::{Begins, End, Ended, Head, Kind, Piece},
    error::Unsaid,
    json::{Node, Object},
    write::Out,
};

#[derive(Default)]
pub(crate) struct Writer {
    blocks: u64,
    open: Option<Open>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    /// By its number; another call's pieces may come before it is over.
    Call(u64),
}

impl Writer {
    pub(crate) fn begin(&mut self, head: &Head, out: &mut Out) {
        let message = message(head)
            .with("content", Node::List(Vec::new()))
            .with("stop_reason", Node::Null)
            .with("stop_sequence", Node::Null)
            // what others say at the end, `message_delta` says
            .with(
                "usage",
                Object::new()
                    .with("input_tokens", 0u64)
                    .with("output_tokens", 0u64),
            );
        event("message_start", Object::new().with("message", message), out);
    }

    /// # Errors
    ///
    /// A call that goes on after another has begun: here blocks stand one after another.
    pub(crate) fn piece(&mut self, piece: Piece, out: &mut Out) -> Result<(), Unsaid> {
        match piece.kind {
            Kind::Text | Kind::Refusal => {
                if self.open != Some(Open::Text) {
                    let block = Object::new().with("type", "text").with("text", "");
                    self.open(Open::Text, block, out);
                }
                self.delta("text_delta", "text", piece.text, out);
            }
            // it is not shown, see the README
            Kind::Reasoning => {}
            Kind::Call { number, begins } => {
                if let Some(Begins { id, name }) = begins {
                    let block = Object::new()
                        .with("type", "tool_use")
                        .with("id", id)
                        .with("name", name)
                        .with("input", Object::new());
                    self.open(Open::Call(number), block, out);
                }
                if self.open != Some(Open::Call(number)) {
                    return Err(Unsaid::Mixed);
                }
                if !piece.text.is_empty() {
                    self.delta("input_json_delta", "partial_json", piece.text, out);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn end(&mut self, end: &End, out: &mut Out) {
        self.close(out);
        let ended = end.choices.first().map_or(Ended::Stop, |(_, ended)| *ended);
        let delta = Object::new()
            .with("stop_reason", stop_reason(ended))
            .with("stop_sequence", Node::Null);
        let used = usage(end.usage.unwrap_or_default());
        let last = Object::new().with("delta", delta).with("usage", used);
        event("message_delta", last, out);
        event("message_stop", Object::new(), out);
    }

    fn open(&mut self, what: Open, block: Object<'_>, out: &mut Out) {
        self.close(out);
        self.open = Some(what);
        let start = Object::new()
            .with("index", self.blocks)
            .with("content_block", block);
        event("content_block_start", start, out);
    }

    fn close(&mut self, out: &mut Out) {
        if self.open.take().is_some() {
            let stop = Object::new().with("index", self.blocks);
            event("content_block_stop", stop, out);
            self.blocks += 1;
        }
    }

    fn delta(&self, kind: &'static str, field: &'static str, text: String, out: &mut Out) {
        let delta = Object::new().with("type", kind).with(field, text);
        let event = Object::new()
            .with("index", self.blocks)
            .with("delta", delta);
        self::event("content_block_delta", event, out);
    }
}

pub(crate) fn ping(out: &mut Out) {
    event("ping", Object::new(), out);
}

fn event(kind: &'static str, fields: Object<'_>, out: &mut Out) {
    let event = Object::new().with("type", kind).and(fields);
    out.event(Some(kind), &event.to_json());
}
