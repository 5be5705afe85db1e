//! An answer written in the caller's dialect, as it comes or whole.

use std::sync::Arc;

use bytes::Bytes;
use llm_exchange::{
    Dialect, Framing,
    sse::{Encoder, Event},
};

use crate::{
    answer::{Answer, End, Head, Piece},
    chat,
    error::Unsaid,
    gemini, messages, responses,
};

/// Events of a stream, framed as the caller asked for them.
pub(crate) struct Out {
    bytes: Vec<u8>,
    array: Option<Begun>,
    caller: Dialect,
}

/// Whether an array has its first element.
type Begun = bool;

impl Out {
    pub(crate) fn new(caller: Dialect, framing: Framing) -> Self {
        Self {
            caller,
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

    /// Something is under way.
    pub(crate) fn alive(&mut self) {
        if self.array.is_none() {
            self.framed(self.caller.keep_alive().as_bytes());
        }
    }

    /// What no reader is handed, where framing and clients have such a thing.
    pub(crate) fn comment(&mut self, text: &str) {
        if self.array.is_none() && self.caller.reads_comments() {
            self.framed(Encoder::new().comment(text).event().raw());
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) const fn is_array(&self) -> bool {
        self.array.is_some()
    }

    pub(crate) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).into()
    }
}

/// For whom an answer is written.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) dialect: Dialect,
    /// A stream is to say its usage.
    pub(crate) asked_usage: bool,
    /// Reasoning is to be in the answer.
    pub(crate) asked_reasoning: bool,
    /// How the stream is framed; `None`: it asked for none.
    pub(crate) stream: Option<Framing>,
    pub(crate) repeated: Arc<responses::Repeated>,
}

impl Caller {
    /// Whether the caller is shown reasoning. Anthropic's is signed and OpenAI's has an id of the
    /// provider's: what is neither would be refused when it is sent back to them. Gemini's callers are
    /// shown thoughts if they ask for them; callers of chat completions have no word for it.
    pub(crate) const fn shows_reasoning(&self) -> bool {
        match self.dialect {
            Dialect::OpenAiChat => true,
            Dialect::Gemini => self.asked_reasoning,
            _ => false,
        }
    }
}

/// The writer of a stream.
pub(crate) enum Writer {
    Chat(chat::Writer),
    Messages(messages::Writer),
    Gemini(gemini::Writer),
    Responses(responses::Writer),
}

impl Writer {
    /// `None`: no stream is written in this dialect.
    pub(crate) fn new(caller: &Caller) -> Option<Self> {
        Some(match caller.dialect {
            Dialect::OpenAiChat => Self::Chat(chat::Writer::new(caller.asked_usage)),
            Dialect::AnthropicMessages => Self::Messages(messages::Writer::default()),
            Dialect::Gemini => Self::Gemini(gemini::Writer::default()),
            Dialect::OpenAiResponses => {
                Self::Responses(responses::Writer::new(Arc::clone(&caller.repeated)))
            }
            _ => return None,
        })
    }

    /// Of the event to come, where they are numbered.
    pub(crate) const fn next_event_number(&self) -> u64 {
        match self {
            Self::Responses(writer) => writer.next_event_number(),
            Self::Chat(_) | Self::Messages(_) | Self::Gemini(_) => 0,
        }
    }

    pub(crate) fn begin(&mut self, head: &Head, out: &mut Out) {
        match self {
            Self::Chat(writer) => writer.begin(head, out),
            Self::Messages(writer) => writer.begin(head, out),
            Self::Responses(writer) => writer.begin(head, out),
            // each chunk says all of it
            Self::Gemini(_) => {}
        }
    }

    /// The target is still at work.
    pub(crate) fn alive(&self, out: &mut Out) {
        match self {
            Self::Messages(_) => messages::ping(out),
            _ => out.alive(),
        }
    }

    pub(crate) fn piece(&mut self, piece: Piece, head: &Head, out: &mut Out) -> Result<(), Unsaid> {
        match self {
            Self::Chat(writer) => writer.piece(piece, head, out),
            Self::Messages(writer) => writer.piece(piece, out)?,
            Self::Gemini(writer) => writer.piece(piece, head, out)?,
            Self::Responses(writer) => writer.piece(piece, head, out)?,
        }
        Ok(())
    }

    pub(crate) fn end(&mut self, end: &End, head: &Head, out: &mut Out) -> Result<(), Unsaid> {
        match self {
            Self::Chat(writer) => writer.end(end, head, out),
            Self::Messages(writer) => writer.end(end, out),
            Self::Gemini(writer) => writer.end(end, head, out)?,
            Self::Responses(writer) => writer.end(end, head, out),
        }
        Ok(())
    }
}

/// A whole answer.
pub(crate) fn whole(
    caller: &Caller,
    head: &Head,
    said: Answer,
    end: &End,
) -> Result<Vec<u8>, Unsaid> {
    match caller.dialect {
        Dialect::OpenAiChat => Ok(chat::answer(head, said, end)),
        Dialect::AnthropicMessages => messages::answer(head, said, end),
        Dialect::Gemini => gemini::answer(head, said, end),
        Dialect::OpenAiResponses => Ok(responses::answer(head, &caller.repeated, said, end)),
        _ => Err(Unsaid::NoAnswer),
    }
}
