//! A stream put together to an answer, and taken apart.

use std::fmt;

use bytes::Bytes;

use super::{
    StreamError,
    delta::{read, whole},
    tree::{Object, Unexpected},
};
use crate::{Dialect, Payload, meter::Reading, sse::Event};

/// Puts the events of a stream together to the JSON answer that the same call would have been given
/// without streaming: texts, tool calls, reasoning, every choice, usage, finish reasons. gRPC's streams
/// are not put together, nor embeddings, which have none.
///
/// Fields that are not known here are kept: of the envelope and of a choice the last one that was
/// said, of a delta put together as its pieces are meant. What only streams have (`obfuscation`, the
/// numbers of tool calls, pings) is left out.
///
/// ```
/// use llm_exchange::{Dialect, sse::Event, stream::Collector};
///
/// let mut collector = Collector::new(Dialect::OpenAiChat);
/// for data in [
///     r#"{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
///     r#"{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Lem"}}]}"#,
///     r#"{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"on"},"finish_reason":"stop"}]}"#,
///     "[DONE]",
/// ] {
///     collector.push(&Event::new(data))?;
/// }
/// assert_eq!(
///     collector.finish()?,
///     r#"{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Lemon"},"finish_reason":"stop"}]}"#,
/// );
/// # Ok::<_, llm_exchange::stream::StreamError>(())
/// ```
///
/// # Memory
///
/// It keeps what the answer will hold, and takes at most [`max_bytes`](Self::max_bytes) of events.
pub struct Collector {
    dialect: Dialect,
    reading: Reading,
    /// `None`: the dialect's streams are not put together.
    collected: Option<Box<dyn Collect>>,
    max_bytes: usize,
    bytes: usize,
}

/// Puts the events of one dialect's stream together.
pub(crate) trait Collect: Send + Sync {
    /// Takes the data of the next event.
    fn event(&mut self, data: &[u8]) -> Result<(), Unexpected>;

    /// The answer that would have come without a stream.
    fn into_answer(self: Box<Self>) -> Result<Object, Unexpected>;
}

const NOT_THIS: &str = "streams of this dialect are not put together";

impl Collector {
    /// A collector at the start of a stream of this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            reading: Reading::default(),
            collected: (dialect.wire().collect)(),
            max_bytes: Payload::DEFAULT_MAX_BYTES,
            bytes: 0,
        }
    }

    /// The most bytes of events that are taken; 16 MiB by default.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Takes the next event. One without data, or after the stream's own end, is nothing.
    ///
    /// # Errors
    ///
    /// The provider's error, if the event is one; data that the dialect does not have; too many bytes.
    pub fn push(&mut self, event: &Event) -> Result<(), StreamError> {
        match event.data() {
            Some(data) => self.push_data(&data),
            None => Ok(()),
        }
    }

    /// Takes the data of the next event, in any framing: what a [`PieceReader`](super::PieceReader)
    /// gives.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_data(&mut self, data: &[u8]) -> Result<(), StreamError> {
        if self.reading.done && self.dialect.wire().has_last_word {
            return Ok(());
        }
        let Some(collected) = &mut self.collected else {
            return Err(StreamError::unreadable(NOT_THIS));
        };
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > self.max_bytes {
            return Err(StreamError::too_large(self.max_bytes));
        }
        read(self.dialect, data, &mut self.reading)?;
        let read = collected.event(data);
        read.map_err(|Unexpected| StreamError::unreadable("an event is not of the dialect"))
    }

    /// The body ended in order: the answer.
    ///
    /// # Errors
    ///
    /// If the stream lacks the proof that its protocol gives of a whole answer.
    pub fn finish(self) -> Result<Bytes, StreamError> {
        whole(self.dialect, &self.reading)?;
        let Some(collected) = self.collected else {
            return Err(StreamError::unreadable(NOT_THIS));
        };
        let answer = collected.into_answer();
        let what = "a tool call's arguments are not JSON";
        answer
            .map(|answer| answer.to_json().into())
            .map_err(|Unexpected| StreamError::unreadable(what))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("dialect", &self.dialect)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// The events that the stream of an answer would have had: the reverse of a [`Collector`], which makes
/// the same answer of them.
///
/// Each text, each tool call's arguments and so on is said in one piece. `with_usage` is whether the
/// caller asked for the usage, in dialects where that is asked for
/// ([`Call::asks_usage`](crate::Call::asks_usage)); without it the events lack it.
///
/// ```
/// use llm_exchange::{Dialect, stream::expand};
///
/// let answer = br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5",
///     "content":[{"type":"text","text":"Lemon"}],"stop_reason":"end_turn","stop_sequence":null,
///     "usage":{"input_tokens":9,"output_tokens":1}}"#;
/// let events = expand(Dialect::AnthropicMessages, answer, true)?;
/// let names: Vec<_> = events.iter().map(|event| event.name()).collect();
/// assert_eq!(
///     names,
///     ["message_start", "content_block_start", "content_block_delta", "content_block_stop",
///         "message_delta", "message_stop"],
/// );
/// # Ok::<_, llm_exchange::stream::StreamError>(())
/// ```
///
/// # Errors
///
/// If the JSON is no answer of the dialect, which an error is not. gRPC's answers are no JSON.
pub fn expand(
    dialect: Dialect,
    answer: &[u8],
    with_usage: bool,
) -> Result<Vec<Event>, StreamError> {
    let answer = Object::parse(answer);
    let events = answer.and_then(|answer| (dialect.wire().expand)(answer, with_usage));
    events.map_err(|Unexpected| StreamError::unreadable("it is no answer of the dialect"))
}
