//! Which wire format a call speaks. One file per dialect; this one says who can do what.

mod anthropic;
mod json;
mod openai_chat;

use http::{Method, Uri};
use serde_json::error::Category;

use crate::{
    call::{Facts, Unreadable},
    provider_error::ProviderError,
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

/// What one event of a stream says.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// Nothing that a caller could read: a role, a ping, a frame of the protocol.
    Nothing,
    /// The first characters of text, reasoning or a tool call.
    Content,
    /// The answer is over as the provider's protocol ends it.
    Finished,
    /// The provider failed inside its 200.
    Error(ProviderError),
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

    /// What the data of one event says.
    pub(crate) fn stream_event(self, data: &[u8]) -> StreamEvent {
        match self {
            Self::OpenAiChat => openai_chat::stream_event(data),
            Self::AnthropicMessages => anthropic::stream_event(data),
        }
    }

    /// Whether the JSON of a 200 may be an error: `None` as long as too little of it is here to tell.
    pub(crate) fn looks_like_error(self, start: &[u8]) -> Option<bool> {
        match self {
            Self::OpenAiChat => json::starts_with_member(start, b"error", None),
            Self::AnthropicMessages => json::starts_with_member(start, b"type", Some(b"error")),
        }
    }
}
