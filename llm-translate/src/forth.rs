//! A request on its way to the target.

use std::borrow::Cow;

use bytes::Bytes;
use http::uri::PathAndQuery;
use llm_exchange::{Dialect, Framing};

use crate::{
    back::Back,
    chat,
    conversation::Conversation,
    error::NotTranslated,
    gemini,
    json::Object,
    messages::{self, Version},
    responses::{self, Repeated},
    write::Caller,
};

/// Whether answers of one dialect can be had for calls of another.
///
/// From chat completions, Anthropic messages and Gemini to each of the others; from OpenAI responses
/// to these three. `false` also for a dialect and itself.
#[must_use]
pub const fn translates(from: Dialect, to: Dialect) -> bool {
    use Dialect::{AnthropicMessages, Gemini, OpenAiChat, OpenAiResponses};
    matches!(
        (from, to),
        (OpenAiChat, AnthropicMessages | Gemini)
            | (AnthropicMessages, OpenAiChat | Gemini)
            | (Gemini, OpenAiChat | AnthropicMessages)
            | (OpenAiResponses, OpenAiChat | AnthropicMessages | Gemini)
    )
}

/// A request as its caller made it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    from: Dialect,
    body: &'a [u8],
    model: Option<&'a str>,
    stream: Option<bool>,
    framing: Framing,
    version: Option<&'a str>,
    carries_last_turn: bool,
}

impl<'a> Asked<'a> {
    /// A request of this dialect with this body. Where the path says which model is asked, and whether
    /// a stream, the next two tell of it.
    #[must_use]
    pub const fn new(from: Dialect, body: &'a [u8]) -> Self {
        Self {
            from,
            body,
            model: None,
            stream: None,
            framing: Framing::Sse,
            version: None,
            carries_last_turn: false,
        }
    }

    /// The model, in place of what the body says.
    #[must_use]
    pub const fn model(mut self, model: &'a str) -> Self {
        self.model = Some(model);
        self
    }

    /// A stream is asked for, framed so, whatever the body says.
    #[must_use]
    pub const fn stream(mut self, framing: Framing) -> Self {
        self.stream = Some(true);
        self.framing = framing;
        self
    }

    /// The version of its API that Anthropic is to be asked with, by the header `anthropic-version`.
    /// Default [`ANTHROPIC_VERSION`].
    #[must_use]
    pub const fn anthropic_version(mut self, version: &'a str) -> Self {
        self.version = Some(version);
        self
    }

    /// Whether a conversation may end with the assistant's turn, all of it text. Anthropic's models up to 4.5, and
    /// others that take one, go on from it; some begin anew, or refuse it. To Anthropic blanks at its end are left
    /// out, as it takes none. Default `false`: such a request cannot be carried over.
    #[must_use]
    pub const fn carry_last_turn(mut self, carries: bool) -> Self {
        self.carries_last_turn = carries;
        self
    }

    /// The same request in the dialect of the target.
    ///
    /// # Errors
    ///
    /// What cannot be carried over, by the first field that cannot.
    pub fn translate(self, to: Dialect) -> Result<Translated, NotTranslated> {
        if !translates(self.from, to) {
            return Err(NotTranslated::not(
                "",
                "there is no way between the dialects",
            ));
        }
        let mut conversation = self.read()?;
        let model = match self.model {
            Some(model) => Cow::Owned(model.to_owned()),
            None => conversation.model.take().unwrap_or_default(),
        };
        conversation.carries_last_turn = self.carries_last_turn;
        conversation.stream = self.stream.unwrap_or(conversation.stream);
        let stream = conversation.stream;
        let caller = Caller {
            dialect: self.from,
            asked_usage: conversation.usage,
            asked_reasoning: conversation.thinking.and_then(|thinking| thinking.shown)
                == Some(true),
            stream: stream.then_some(self.framing),
            repeated: Repeated::new(conversation.echo),
        };
        let body = self.write(&mut conversation, &model, to)?.to_json();
        Ok(Translated {
            path: path(to, &model, stream)
                .ok_or_else(|| NotTranslated::not("model", "it is no name"))?,
            body: body.into(),
            left_out: conversation.left_out,
            back: Back::new(caller, to, &model),
        })
    }

    fn read(self) -> Result<Conversation<'a>, NotTranslated> {
        match self.from {
            Dialect::AnthropicMessages => messages::read(self.body),
            Dialect::Gemini => gemini::read(self.body),
            Dialect::OpenAiResponses => responses::read(self.body),
            _ => chat::read(self.body),
        }
    }

    fn write<'c>(
        self,
        conversation: &'c mut Conversation<'_>,
        model: &'c str,
        to: Dialect,
    ) -> Result<Object<'c>, NotTranslated> {
        match to {
            Dialect::AnthropicMessages => {
                let version = Version::of(self.version.unwrap_or(ANTHROPIC_VERSION));
                messages::write(conversation, model, version)
            }
            Dialect::Gemini => gemini::write(conversation),
            _ => chat::write(conversation, model),
        }
    }
}

/// The version of its API with which Anthropic is asked unless told otherwise. It takes `temperature`,
/// `top_p` and `top_k`, which the one of 2026-10-21 refuses.
pub const ANTHROPIC_VERSION: &str = "2023-06-01";

/// `None`: the model's name is none.
fn path(to: Dialect, model: &str, stream: bool) -> Option<PathAndQuery> {
    Some(PathAndQuery::from_static(match to {
        Dialect::Gemini => return gemini::path(model, stream),
        Dialect::AnthropicMessages => "/v1/messages",
        _ => "/v1/chat/completions",
    }))
}

/// A request in the target's dialect.
pub struct Translated {
    path: PathAndQuery,
    body: Bytes,
    left_out: Vec<&'static str>,
    back: Back,
}

impl Translated {
    /// The path, and the query where that says something, as the target's API has it at its provider.
    #[must_use]
    pub const fn path(&self) -> &PathAndQuery {
        &self.path
    }

    /// The JSON.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Fields of the caller's that are not carried over, as they change nothing of what the answer
    /// means, or the target refuses them: see the [crate](crate).
    #[must_use]
    pub fn left_out(&self) -> &[&'static str] {
        &self.left_out
    }

    /// What translates the answer.
    #[must_use]
    pub const fn back(&self) -> &Back {
        &self.back
    }

    pub(crate) fn into_parts(self) -> (PathAndQuery, Bytes, Vec<&'static str>, Back) {
        (self.path, self.body, self.left_out, self.back)
    }
}

/// Shows no content.
impl std::fmt::Debug for Translated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Translated")
            .field("bytes", &self.body.len())
            .field("left_out", &self.left_out)
            .field("back", &self.back)
            .finish_non_exhaustive()
    }
}

/// Shows no content.
impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("from", &self.from)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
