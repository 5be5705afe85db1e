//! What a stream says, piece by piece, whatever its dialect.

use std::{borrow::Cow, collections::VecDeque, fmt};

use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::StreamError;
use crate::{Dialect, ProviderError, Usage, meter::Reading, sse::Event};

/// A piece of an answer: the next characters of a text, of reasoning, of a refusal, or of a tool
/// call's arguments.
///
/// `Debug` shows the kind and the length, never the text.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub struct Delta {
    /// Which of the answer's choices it belongs to; 0 where the dialect has only one.
    pub choice: u64,
    /// What it is a piece of.
    pub kind: DeltaKind,
    /// The characters. Empty only where a tool call is announced.
    pub text: String,
}

/// What a [`Delta`] is a piece of.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeltaKind {
    /// The answer's text.
    Text,
    /// Reasoning, as far as the provider shows it.
    Reasoning,
    /// The text in which the model refuses.
    Refusal,
    /// A tool call; the delta's text is the next piece of its arguments, which are JSON (or free text
    /// for a custom tool).
    ToolCall {
        /// Which of the choice's tool calls, as the dialect numbers them: OpenAI from 0, Anthropic by
        /// the number of the content block.
        index: u64,
        /// The call's id, with its first delta.
        id: Option<String>,
        /// The tool's name, with its first delta.
        name: Option<String>,
    },
}

impl Delta {
    /// A delta.
    #[must_use]
    pub fn new(choice: u64, kind: DeltaKind, text: impl Into<String>) -> Self {
        Self {
            choice,
            kind,
            text: text.into(),
        }
    }
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta")
            .field("choice", &self.choice)
            .field("kind", &self.kind)
            .field("text_len", &self.text.len())
            .finish()
    }
}

/// Reads [`Delta`]s out of a stream's events, and whether the stream was whole.
///
/// [`push`](Self::push) an event, take deltas until [`next_delta`](Self::next_delta) is `None`, and so
/// on; at the end of the body, [`finish`](Self::finish). What is kept is bounded by the last event
/// pushed.
///
/// ```
/// use llm_exchange::{Dialect, sse::Event, stream::DeltaReader};
///
/// let mut reader = DeltaReader::new(Dialect::OpenAiChat);
/// reader.push(&Event::new(r#"{"choices":[{"index":0,"delta":{"content":"Lemon"}}]}"#))?;
/// assert_eq!(reader.next_delta().unwrap().text, "Lemon");
/// assert!(reader.finish().unwrap_err().is_truncated());
/// # Ok::<_, llm_exchange::stream::StreamError>(())
/// ```
pub struct DeltaReader {
    dialect: Dialect,
    reading: Reading,
    deltas: Deltas,
}

impl DeltaKind {
    /// A tool call, or a piece of its arguments.
    pub(crate) fn call(index: u64, id: Field<'_>, name: Field<'_>) -> Self {
        Self::ToolCall {
            index,
            id: text_of(id).map(Into::into),
            name: text_of(name).map(Into::into),
        }
    }
}

/// What the dialects' readers write to.
#[derive(Default)]
pub(crate) struct Deltas {
    waiting: VecDeque<Delta>,
    calls: u64,
}

impl Deltas {
    pub(crate) fn push(&mut self, delta: Delta) {
        self.waiting.push_back(delta);
    }

    /// The text of a field, if it has any.
    pub(crate) fn say(&mut self, choice: u64, kind: DeltaKind, field: Field<'_>) {
        if let Some(text) = text_of(field) {
            self.push(Delta::new(choice, kind, text));
        }
    }

    /// The number of a tool call that has none of its own.
    pub(crate) fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls - 1
    }
}

impl DeltaReader {
    /// A reader at the start of a stream of this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            reading: Reading::default(),
            deltas: Deltas::default(),
        }
    }

    /// Reads the next server-sent event. One without data, or after the stream's own end, is nothing.
    ///
    /// # Errors
    ///
    /// The provider's error, if the event is one.
    pub fn push(&mut self, event: &Event) -> Result<(), StreamError> {
        match event.data() {
            Some(data) => self.push_data(&data),
            None => Ok(()),
        }
    }

    /// Reads the data of the next event, in any framing: what a [`PieceReader`](super::PieceReader)
    /// gives.
    ///
    /// # Errors
    ///
    /// The provider's error, if the event is one.
    pub fn push_data(&mut self, data: &[u8]) -> Result<(), StreamError> {
        if self.reading.done && self.dialect.wire().has_last_word {
            return Ok(());
        }
        read(self.dialect, data, &mut self.reading)?;
        (self.dialect.wire().deltas)(data, &mut self.deltas);
        Ok(())
    }

    /// Reads the trailers, in which a gRPC stream has its end.
    ///
    /// # Errors
    ///
    /// The status, if it is an error.
    pub fn push_trailers(&mut self, trailers: &HeaderMap) -> Result<(), StreamError> {
        if !self.dialect.is_grpc() || !trailers.contains_key("grpc-status") {
            return Ok(());
        }
        if let Some(error) = ProviderError::from_grpc(trailers) {
            return Err(StreamError::provider(error.into()));
        }
        self.reading.done = true;
        Ok(())
    }

    /// The next delta; `None`: more events are needed.
    pub fn next_delta(&mut self) -> Option<Delta> {
        self.deltas.waiting.pop_front()
    }

    /// The provider's usage so far, if it gave any.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.reading.usage()
    }

    /// Why the choices that have ended did so, as the provider writes it, in their order.
    pub fn finish_reasons(&self) -> impl Iterator<Item = &str> {
        self.reading.finishes()
    }

    /// The same, each with the number of its choice.
    pub fn finishes(&self) -> impl Iterator<Item = (u64, &str)> {
        self.reading.numbered_finishes()
    }

    /// The provider's id of the answer, once it said it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.reading.id.as_deref()
    }

    /// The model as the answer names it, once it does.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.reading.model.as_deref()
    }

    /// When the answer was made, in seconds of Unix time, where the dialect says so (OpenAI's).
    #[must_use]
    pub const fn created(&self) -> Option<u64> {
        self.reading.created
    }

    /// The body ended in order.
    ///
    /// # Errors
    ///
    /// If the stream lacks the proof that its protocol gives of a whole answer.
    pub fn finish(&self) -> Result<(), StreamError> {
        whole(self.dialect, &self.reading)
    }
}

impl fmt::Debug for DeltaReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaReader")
            .field("dialect", &self.dialect)
            .field("waiting", &self.deltas.waiting.len())
            .finish_non_exhaustive()
    }
}

/// Notes what an event says of the answer as a whole.
pub(super) fn read(
    dialect: Dialect,
    data: &[u8],
    reading: &mut Reading,
) -> Result<(), StreamError> {
    (dialect.wire().read_event)(data, reading);
    match &reading.error {
        Some(error) => Err(StreamError::provider(error.clone())),
        None => Ok(()),
    }
}

pub(super) fn whole(dialect: Dialect, reading: &Reading) -> Result<(), StreamError> {
    if reading.done && (dialect.wire().is_complete)(reading) {
        Ok(())
    } else {
        Err(StreamError::truncated())
    }
}

/// A field of an event as it stands.
pub(crate) type Field<'a> = Option<&'a RawValue>;

/// Arguments as they stand, where they are JSON and not a text of it.
pub(crate) fn json_of(field: Field<'_>) -> String {
    field.map(RawValue::get).unwrap_or_default().to_owned()
}

/// The text that a field holds; `None` where there is none, or where it is empty.
pub(crate) fn text_of(field: Field<'_>) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    let text: Text<'_> = serde_json::from_str(field?.get()).ok()?;
    Some(text.0).filter(|text| !text.is_empty())
}
