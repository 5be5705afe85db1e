//! Counting a prompt's tokens before it is sent.

use http::Request;
use llm_exchange::{Call, Payload, TokenEstimate};

/// What a message costs beside its text.
const MESSAGE: u64 = 4;
/// What an image, a recording or a file costs at a guess.
const MEDIUM: u64 = 1_000;

/// Counts the tokens of a text.
pub trait TokenCounter: Send + Sync {
    /// How many tokens the text is for this model, as the caller names it.
    fn count(&self, text: &str, model: &str) -> u64;
}

/// Estimates without a vocabulary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimated;

impl TokenCounter for Estimated {
    fn count(&self, text: &str, _: &str) -> u64 {
        TokenEstimate::of(text.as_bytes())
    }
}

/// What a prompt is counted at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) tokens: u64,
    /// All of it is text, so that the count can be compared with the truth.
    pub(crate) is_text: bool,
}

pub(crate) fn prompt(
    request: &Request<Payload>,
    call: &Call,
    counter: &dyn TokenCounter,
) -> Prompt {
    let model = call.model().unwrap_or_default();
    let mut texts = 0u64;
    let counted = Call::prompt(request, |text| {
        texts = texts.saturating_add(counter.count(text, model));
    });
    match counted {
        Some(prompt) => {
            let rest = MESSAGE
                .saturating_mul(prompt.messages)
                .saturating_add(MEDIUM.saturating_mul(prompt.media))
                .saturating_add(prompt.tokens);
            Prompt {
                tokens: texts.saturating_add(rest),
                is_text: prompt.media == 0,
            }
        }
        None => Prompt {
            tokens: call.estimated_input(),
            is_text: false,
        },
    }
}
