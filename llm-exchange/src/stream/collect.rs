//! A stream put together to an answer, and taken apart.

use std::fmt;

use bytes::Bytes;

use super::{
    StreamError, anthropic,
    delta::{read, whole},
    openai_chat,
    tree::{Object, Unexpected},
};
use crate::{Dialect, Payload, meter::Reading, sse::Event};

/// Puts the events of a stream together to the JSON answer that the same call would have been given
/// without streaming: texts, tool calls, reasoning, every choice, usage, finish reasons.
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
    collected: Collected,
    max_bytes: usize,
    bytes: usize,
}

enum Collected {
    OpenAiChat(openai_chat::Collected),
    AnthropicMessages(anthropic::Collected),
    /// The dialect's streams are not put together.
    Nothing,
}

const NOT_THIS: &str = "streams of this dialect are not put together";

impl Collector {
    /// A collector at the start of a stream of this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            reading: Reading::default(),
            collected: match dialect {
                Dialect::OpenAiChat => Collected::OpenAiChat(openai_chat::Collected::default()),
                Dialect::AnthropicMessages => {
                    Collected::AnthropicMessages(anthropic::Collected::default())
                }
                _ => Collected::Nothing,
            },
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
        let Some(data) = event.data() else {
            return Ok(());
        };
        if self.reading.done {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > self.max_bytes {
            return Err(StreamError::too_large(self.max_bytes));
        }
        read(self.dialect, &data, &mut self.reading)?;
        let read = match &mut self.collected {
            Collected::OpenAiChat(collected) => collected.chunk(&data),
            Collected::AnthropicMessages(collected) => collected.event(&data),
            Collected::Nothing => return Err(StreamError::unreadable(NOT_THIS)),
        };
        read.map_err(|Unexpected| StreamError::unreadable("an event is not of the dialect"))
    }

    /// The body ended in order: the answer.
    ///
    /// # Errors
    ///
    /// If the stream lacks the proof that its protocol gives of a whole answer.
    pub fn finish(self) -> Result<Bytes, StreamError> {
        whole(self.dialect, &self.reading)?;
        let answer = match self.collected {
            Collected::OpenAiChat(collected) => collected.into_answer(),
            Collected::AnthropicMessages(collected) => collected.into_answer(),
            Collected::Nothing => return Err(StreamError::unreadable(NOT_THIS)),
        };
        let what = "a tool call's arguments are not JSON";
        answer
            .map(Bytes::from)
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
/// If the JSON is no answer of the dialect, which an error is not.
pub fn expand(
    dialect: Dialect,
    answer: &[u8],
    with_usage: bool,
) -> Result<Vec<Event>, StreamError> {
    let answer = Object::parse(answer);
    let events = answer.and_then(|answer| match dialect {
        Dialect::OpenAiChat => openai_chat::expand(answer, with_usage),
        Dialect::AnthropicMessages => anthropic::expand(answer),
        _ => Err(Unexpected),
    });
    events.map_err(|Unexpected| StreamError::unreadable("it is no answer of the dialect"))
}
