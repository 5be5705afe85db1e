//! Which wire format a call speaks. One file per dialect; this one says who can do what.

mod anthropic;
mod json;
mod openai_chat;
mod openai_usage;

use http::{Method, Uri};
use serde_json::error::Category;

use crate::{
    call::{Facts, Unreadable},
    meter::{Holes, Reading, StreamEvent},
};

/// The wire format of a call, known from its method and path.
///
/// | dialect | recognised as |
/// |---|---|
/// | [`OpenAiChat`](Dialect::OpenAiChat) | `POST`, a path that ends in `/chat/completions` |
/// | [`AnthropicMessages`](Dialect::AnthropicMessages) | `POST`, a path that ends in `/v1/messages` |
///
/// Whatever comes before that end of the path is a prefix of the provider's or of a proxy
/// (`/openai/v1/chat/completions`). A call of no known dialect passes through every layer untouched.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions, which most other providers and local servers speak too.
    OpenAiChat,
    /// Anthropic messages.
    AnthropicMessages,
}

/// What a dialect's reader saw in one event of a stream, beside what it wrote down.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) event: StreamEvent,
    /// Where its text stands, if an event that differs in nothing else says nothing else.
    pub(crate) holes: Option<Holes>,
    /// Nothing but the answer's usage, as OpenAI sends it to who asks for it.
    pub(crate) usage_only: bool,
}

impl From<StreamEvent> for Seen {
    fn from(event: StreamEvent) -> Self {
        Self {
            event,
            ..Self::default()
        }
    }
}

impl Dialect {
    /// The dialect of a request, if it is an LLM call that this crate can read.
    #[must_use]
    pub fn of(method: &Method, uri: &Uri) -> Option<Self> {
        if method != Method::POST {
            return None;
        }
        let path = uri.path();
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.ends_with("/chat/completions") {
            Some(Self::OpenAiChat)
        } else if path.ends_with("/v1/messages") {
            Some(Self::AnthropicMessages)
        } else {
            None
        }
    }

    /// A short name for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::AnthropicMessages => "anthropic_messages",
        }
    }

    /// What the request's JSON asks for.
    pub(crate) fn facts(self, body: &[u8]) -> Result<Facts, Unreadable> {
        match self {
            Self::OpenAiChat => openai_chat::facts(body),
            Self::AnthropicMessages => anthropic::facts(body),
        }
        .map_err(|error| match error.classify() {
            Category::Data => Unreadable::Fields,
            Category::Syntax | Category::Eof | Category::Io => Unreadable::Syntax,
        })
    }

    /// Reads the data of one event of a stream.
    pub(crate) fn read_event(self, data: &[u8], reading: &mut Reading) -> Seen {
        match self {
            Self::OpenAiChat => openai_chat::read_event(data, reading),
            Self::AnthropicMessages => anthropic::read_event(data, reading),
        }
    }

    /// Reads the JSON of an unstreamed answer.
    pub(crate) fn read_answer(self, body: &[u8], reading: &mut Reading) {
        match self {
            Self::OpenAiChat => openai_chat::read_answer(body, reading),
            Self::AnthropicMessages => anthropic::read_answer(body, reading),
        }
    }

    /// Reads the usage object at the start of the bytes.
    pub(crate) fn read_usage(self, json: &[u8], reading: &mut Reading) {
        match self {
            Self::OpenAiChat => {
                if let Some(usage) = openai_usage::of(json) {
                    reading.set_usage(usage);
                }
            }
            Self::AnthropicMessages => anthropic::read_usage(json, reading),
        }
    }

    /// Whether a stream that ended in order has all the marks of its protocol's end.
    pub(crate) fn is_complete(self, reading: &Reading) -> bool {
        match self {
            Self::OpenAiChat => openai_chat::is_complete(reading),
            Self::AnthropicMessages => anthropic::is_complete(reading),
        }
    }

    /// Whether a streamed answer has the provider's usage only if the request asks for it.
    pub(crate) const fn has_usage_on_request(self) -> bool {
        matches!(self, Self::OpenAiChat)
    }

    /// Whether the JSON of a 200 may be an error: `None` as long as too little of it is here to tell.
    pub(crate) fn looks_like_error(self, start: &[u8]) -> Option<bool> {
        match self {
            Self::OpenAiChat => json::starts_with_member(start, b"error", None),
            Self::AnthropicMessages => json::starts_with_member(start, b"type", Some(b"error")),
        }
    }
}
