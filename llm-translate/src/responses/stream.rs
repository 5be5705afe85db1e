//! An answer, written as the stream of OpenAI responses.

use std::sync::Arc;

use super::answer::{
    COMPLETED, Repeated, incomplete, item, item_id, refusal_part, response, text_part,
};
use crate::{
    answer::{Begins, End, Head, Kind, Piece, Whole},
    error::Unsaid,
    json::{Node, Object},
    write::Out,
};

/// The most that is kept of an answer, which is said again at its end.
const MOST_BYTES: usize = 16 << 20;

pub(crate) struct Writer {
    repeated: Arc<Repeated>,
    events: u64,
    /// What is over.
    items: Vec<Whole>,
    open: Option<(Open, Whole)>,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Refusal,
    /// By its number.
    Call(u64),
}

impl Writer {
    pub(crate) const fn new(repeated: Arc<Repeated>) -> Self {
        Self {
            repeated,
            events: 0,
            items: Vec::new(),
            open: None,
            bytes: 0,
        }
    }

    pub(crate) const fn next_event_number(&self) -> u64 {
        self.events
    }

    pub(crate) fn begin(&mut self, head: &Head, out: &mut Out) {
        for kind in ["response.created", "response.in_progress"] {
            let repeated = Arc::clone(&self.repeated);
            let response = response(head, &repeated, Node::List(Vec::new()), None);
            self.event(kind, Object::new().with("response", response), out);
        }
    }

    /// # Errors
    ///
    /// Too much, and a call that goes on after another has begun: items are said one after another.
    pub(crate) fn piece(&mut self, piece: Piece, head: &Head, out: &mut Out) -> Result<(), Unsaid> {
        self.bytes = self.bytes.saturating_add(piece.text.len());
        if self.bytes > MOST_BYTES {
            return Err(Unsaid::TooLarge);
        }
        let (what, begins) = match piece.kind {
            // it is not shown, see the README
            Kind::Reasoning => return Ok(()),
            Kind::Text => (Open::Text, None),
            Kind::Refusal => (Open::Refusal, None),
            Kind::Call { number, begins } => (Open::Call(number), begins),
        };
        let is_open = self.open.as_ref().is_some_and(|(open, _)| *open == what);
        match (what, begins) {
            (Open::Call(_), Some(Begins { id, name })) => {
                let arguments = String::new();
                self.open(
                    what,
                    Whole::Call {
                        id,
                        name,
                        arguments,
                    },
                    head,
                    out,
                );
            }
            _ if is_open => {}
            (Open::Text, _) => self.open(what, Whole::Text(String::new()), head, out),
            (Open::Refusal, _) => self.open(what, Whole::Refusal(String::new()), head, out),
            (Open::Call(_), None) => return Err(Unsaid::Mixed),
        }
        if !piece.text.is_empty() {
            let (kind, all) = match &mut self.open {
                Some((_, Whole::Text(all))) => ("response.output_text.delta", all),
                Some((_, Whole::Refusal(all))) => ("response.refusal.delta", all),
                Some((_, Whole::Call { arguments, .. })) => {
                    ("response.function_call_arguments.delta", arguments)
                }
                _ => return Err(Unsaid::Mixed),
            };
            all.push_str(&piece.text);
            let mut delta = self.place(head).with("delta", piece.text);
            if kind == "response.output_text.delta" {
                delta.set("logprobs", Node::List(Vec::new()));
            }
            self.event(kind, delta, out);
        }
        Ok(())
    }

    pub(crate) fn end(&mut self, end: &End, head: &Head, out: &mut Out) {
        self.close(head, out);
        let items = std::mem::take(&mut self.items).into_iter().zip(0..);
        let output = items.map(|(piece, index)| item(head, index, piece, Some(COMPLETED)).into());
        let output = Node::List(output.collect());
        let repeated = Arc::clone(&self.repeated);
        let response = response(head, &repeated, output, Some(end));
        let kind = match incomplete(end) {
            None => "response.completed",
            Some(_) => "response.incomplete",
        };
        self.event(kind, Object::new().with("response", response), out);
    }

    fn open(&mut self, what: Open, begun: Whole, head: &Head, out: &mut Out) {
        self.close(head, out);
        let index = self.items.len() as u64;
        let (part, again) = match &begun {
            Whole::Call { id, name, .. } => (
                None,
                Whole::Call {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                },
            ),
            _ => (self::part(&begun), Whole::Text(String::new())),
        };
        let added = item(head, index, again, None);
        let added = Object::new()
            .with("output_index", index)
            .with("item", added);
        self.event("response.output_item.added", added, out);
        self.open = Some((what, begun));
        if let Some(part) = part {
            let added = self.place(head).with("part", part);
            self.event("response.content_part.added", added, out);
        }
    }

    fn close(&mut self, head: &Head, out: &mut Out) {
        let Some((_, whole)) = &self.open else { return };
        let (kind, field, text) = match whole {
            Whole::Text(text) | Whole::Reasoning(text) => {
                ("response.output_text.done", "text", text)
            }
            Whole::Refusal(text) => ("response.refusal.done", "refusal", text),
            Whole::Call { arguments, .. } => (
                "response.function_call_arguments.done",
                "arguments",
                arguments,
            ),
        };
        let (text, part, again) = (text.clone(), self::part(whole), whole.clone());
        let mut done = self.place(head).with(field, text);
        if field == "text" {
            done.set("logprobs", Node::List(Vec::new()));
        }
        self.event(kind, done, out);
        if let Some(part) = part {
            let done = self.place(head).with("part", part);
            self.event("response.content_part.done", done, out);
        }
        let index = self.items.len() as u64;
        let item = item(head, index, again.clone(), Some(COMPLETED));
        let done = Object::new().with("output_index", index).with("item", item);
        self.event("response.output_item.done", done, out);
        self.open = None;
        self.items.push(again);
    }

    /// Where in the output the open item stands.
    fn place(&self, head: &Head) -> Object<'static> {
        let index = self.items.len() as u64;
        let place = Object::new()
            .with("item_id", item_id(head, index))
            .with("output_index", index);
        match &self.open {
            Some((Open::Call(_), _)) => place,
            _ => place.with("content_index", 0u64),
        }
    }

    fn event(&mut self, kind: &'static str, fields: Object<'_>, out: &mut Out) {
        let event = Object::new()
            .with("type", kind)
            .with("sequence_number", self.events)
            .and(fields);
        self.events += 1;
        out.event(Some(kind), &event.to_json());
    }
}

/// What a message's item has in it; a call has no parts.
fn part(of: &Whole) -> Option<Object<'static>> {
    match of {
        Whole::Text(text) | Whole::Reasoning(text) => Some(text_part(text.clone())),
        Whole::Refusal(text) => Some(refusal_part(text.clone())),
        Whole::Call { .. } => None,
    }
}
