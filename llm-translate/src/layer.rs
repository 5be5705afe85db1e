use std::sync::Arc;

use http::HeaderValue;
use llm_exchange::{Dialect, Payload, WallClock};
use tower_layer::Layer;

use crate::Translate;

/// Sends calls on in another dialect, and answers in the caller's; see the [crate](crate).
///
/// ```
/// use llm_translate::TranslateLayer;
///
/// // callers of OpenAI's API in front of Anthropic
/// let layer = TranslateLayer::to_anthropic()
///     .model_for("gpt-4o", "claude-sonnet-4-5")
///     .model("claude-haiku-4-5");
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct TranslateLayer {
    pub(crate) settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) to: Dialect,
    models: Vec<(Box<str>, Box<str>)>,
    model: Option<Box<str>>,
    pub(crate) version: Option<HeaderValue>,
    pub(crate) carries_last_turn: bool,
    pub(crate) max_payload_bytes: usize,
    pub(crate) clock: WallClock,
}

impl Settings {
    /// The model that is asked for in place of this one, if another.
    pub(crate) fn model_for(&self, asked: &str) -> Option<&str> {
        let own = self.models.iter().find(|(of, _)| **of == *asked);
        own.map(|(_, model)| &**model).or(self.model.as_deref())
    }
}

impl TranslateLayer {
    /// To OpenAI chat completions, which most other providers and local servers speak too.
    #[must_use]
    pub fn to_openai_chat() -> Self {
        Self::to(Dialect::OpenAiChat)
    }

    /// To Anthropic messages.
    #[must_use]
    pub fn to_anthropic() -> Self {
        Self::to(Dialect::AnthropicMessages)
    }

    /// To Gemini's `generateContent`.
    #[must_use]
    pub fn to_gemini() -> Self {
        Self::to(Dialect::Gemini)
    }

    fn to(to: Dialect) -> Self {
        Self {
            settings: Arc::new(Settings {
                to,
                models: Vec::new(),
                model: None,
                version: None,
                carries_last_turn: false,
                max_payload_bytes: Payload::DEFAULT_MAX_BYTES,
                clock: WallClock::default(),
            }),
        }
    }

    /// The model that is asked for, whatever the caller asks for. Default: the caller's, as written.
    #[must_use]
    pub fn model(mut self, model: impl Into<Box<str>>) -> Self {
        Arc::make_mut(&mut self.settings).model = Some(model.into());
        self
    }

    /// The model that is asked for where the caller asks for this one; it comes before
    /// [`model`](Self::model).
    #[must_use]
    pub fn model_for(mut self, asked: impl Into<Box<str>>, model: impl Into<Box<str>>) -> Self {
        let models = &mut Arc::make_mut(&mut self.settings).models;
        models.push((asked.into(), model.into()));
        self
    }

    /// The version of its API that Anthropic is asked with. Default: the request's own header, else
    /// [`ANTHROPIC_VERSION`](crate::ANTHROPIC_VERSION). One from 2026-10-21 on takes no `temperature`,
    /// `top_p` and `top_k`, which are left out for it.
    #[must_use]
    pub fn anthropic_version(mut self, version: HeaderValue) -> Self {
        Arc::make_mut(&mut self.settings).version = Some(version);
        self
    }

    /// Whether a conversation may end with the assistant's turn, which the model then goes on from, or not, as it
    /// does: see [`Asked::carry_last_turn`](crate::Asked::carry_last_turn). Default `false`: such a call is refused.
    #[must_use]
    pub fn carry_last_turn(mut self, carries: bool) -> Self {
        Arc::make_mut(&mut self.settings).carries_last_turn = carries;
        self
    }

    /// The largest request body that is read into memory, in bytes. Default 16 MiB. A larger one
    /// cannot be translated.
    #[must_use]
    pub fn max_payload_bytes(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.settings).max_payload_bytes = bytes;
        self
    }

    /// Where the time of an answer comes from (OpenAI's `created`). Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        Arc::make_mut(&mut self.settings).clock = clock;
        self
    }
}

impl<S> Layer<S> for TranslateLayer {
    type Service = Translate<S>;

    fn layer(&self, inner: S) -> Translate<S> {
        Translate::new(inner, Arc::clone(&self.settings))
    }
}
