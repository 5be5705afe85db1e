//! An answer written in the caller's dialect, as it comes or whole.

use bytes::Bytes;
use llm_exchange::{Dialect, Framing, sse::Event};

use crate::{
    answer::{Answer, End, Head, Piece},
    chat,
    error::Unsaid,
    gemini, messages,
};

/// Events of a stream, framed as the caller asked for them.
pub(crate) struct Out {
    bytes: Vec<u8>,
    array: Option<Begun>,
}

/// Whether an array has its first element.
type Begun = bool;

impl Out {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            bytes: Vec::new(),
            array: (framing == Framing::Array).then_some(false),
        }
    }

    /// The next event; in an array its name is not told.
    pub(crate) fn event(&mut self, name: Option<&'static str>, data: &[u8]) {
        match &mut self.array {
            Some(begun) => {
                let before: &[u8] = if *begun { b",\r\n" } else { b"[" };
                self.bytes.extend_from_slice(before);
                self.bytes.extend_from_slice(data);
                *begun = true;
            }
            None => {
                let event = match name {
                    Some(name) => Event::named(name, data),
                    None => Event::new(data),
                };
                self.bytes.extend_from_slice(event.raw());
            }
        }
    }

    /// Events that are framed already.
    pub(crate) fn framed(&mut self, events: &[u8]) {
        self.bytes.extend_from_slice(events);
    }

    /// Nothing comes any more.
    pub(crate) fn end(&mut self) {
        if let Some(begun) = self.array {
            self.bytes
                .extend_from_slice(if begun { b"]" } else { b"[]" });
        }
    }

    pub(crate) const fn is_array(&self) -> bool {
        self.array.is_some()
    }

    pub(crate) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).into()
    }
}

/// The writer of a stream.
pub(crate) enum Writer {
    Chat(chat::Writer),
    Messages(messages::Writer),
    Gemini(gemini::Writer),
}

impl Writer {
    /// `None`: no stream is written in this dialect.
    pub(crate) fn new(dialect: Dialect, asked_usage: bool) -> Option<Self> {
        Some(match dialect {
            Dialect::OpenAiChat => Self::Chat(chat::Writer::new(asked_usage)),
            Dialect::AnthropicMessages => Self::Messages(messages::Writer::default()),
            Dialect::Gemini => Self::Gemini(gemini::Writer::default()),
            _ => return None,
        })
    }

    pub(crate) fn begin(&mut self, head: &Head, out: &mut Out) {
        match self {
            Self::Chat(writer) => writer.begin(head, out),
            Self::Messages(writer) => writer.begin(head, out),
            // each chunk says all of it
            Self::Gemini(_) => {}
        }
    }

    pub(crate) fn piece(&mut self, piece: Piece, head: &Head, out: &mut Out) -> Result<(), Unsaid> {
        match self {
            Self::Chat(writer) => writer.piece(piece, head, out),
            Self::Messages(writer) => writer.piece(piece, out)?,
            Self::Gemini(writer) => writer.piece(piece, head, out)?,
        }
        Ok(())
    }

    pub(crate) fn end(&mut self, end: &End, head: &Head, out: &mut Out) -> Result<(), Unsaid> {
        match self {
            Self::Chat(writer) => writer.end(end, head, out),
            Self::Messages(writer) => writer.end(end, out),
            Self::Gemini(writer) => writer.end(end, head, out)?,
        }
        Ok(())
    }
}

/// A whole answer.
pub(crate) fn whole(
    dialect: Dialect,
    head: &Head,
    said: Answer,
    end: &End,
) -> Result<Vec<u8>, Unsaid> {
    match dialect {
        Dialect::OpenAiChat => Ok(chat::answer(head, said, end)),
        Dialect::AnthropicMessages => messages::answer(head, said, end),
        Dialect::Gemini => gemini::answer(head, said, end),
        _ => Err(Unsaid::NoAnswer),
    }
}
