//! How many tokens a prompt will be, before it is sent.
//!
//! What a provider counts is known only when it says so: a count from here reserves, it never bills.
//!
//! By default [`Estimated`] counts, without a vocabulary and for any model. Its error over whole texts of a few
//! hundred words, against OpenAI's `o200k_base`, and over their paragraphs:
//!
//! | text | bytes per token | error | paragraphs |
//! |---|---|---|---|
//! | English | 4.5 | +2 % | +1 % to +3 % |
//! | German | 4.5 | −4 % | −6 % to −2 % |
//! | French | 4.2 | +5 % | +3 % to +6 % |
//! | Spanish | 4.6 | +2 % | −1 % to +6 % |
//! | Russian | 6.7 | +5 % | −3 % to +10 % |
//! | Arabic | 5.7 | +5 % | +3 % to +7 % |
//! | Hindi | 8.3 | +7 % | +3 % to +12 % |
//! | Chinese | 3.3 | +7 % | +5 % to +8 % |
//! | Japanese | 3.8 | +6 % | +4 % to +10 % |
//! | Korean | 4.1 | +3 % | +1 % to +5 % |
//! | source code | 4.0 | +7 % | +1 % to +17 % |
//! | JSON | 3.0 | −1 % | −9 % to +10 % |
//!
//! Positive is too much. Older encodings (`cl100k_base`, and what other vendors have) make up to three and a half
//! times as many tokens of texts that are not in Latin script; Anthropic counts between a sixth and a half more than `o200k_base`.
//! The layer learns the ratio for each model from calls that were settled.
#![cfg_attr(
    feature = "exact-tokens",
    doc = "\n[`ExactTokens`] counts OpenAI's models exactly."
)]

use http::Request;
use llm_exchange::{Call, Dialect, Payload, TokenEstimate};

#[cfg(feature = "exact-tokens")]
mod exact;

#[cfg(feature = "exact-tokens")]
pub use self::exact::ExactTokens;

/// Counts the tokens of texts.
///
/// Any function of a model's name and a text is one:
///
/// ```
/// use budget_layer::tokens::TokenCounter;
///
/// let words = |_model: Option<&str>, text: &str| text.split_whitespace().count() as u64;
/// assert_eq!(words.count(Some("gpt-6-sol"), "Lemons are yellow."), 3);
/// ```
///
/// It is called on the thread that sends the request, while that waits.
pub trait TokenCounter: Send + Sync + 'static {
    /// The tokens of a text, as this model reads it. `None`: the request names no model.
    fn count(&self, model: Option<&str>, text: &str) -> u64;

    /// What an image, a recording or a file counts: none of them is ever counted as text. Default
    /// 1,000, about a photo of a megapixel at most providers.
    fn medium(&self, model: Option<&str>) -> u64 {
        let _ = model;
        1_000
    }

    /// Of how many bytes of one prompt the texts are shown to [`count`](Self::count); those after them
    /// are [`Estimated`]. Default all.
    fn most_bytes(&self) -> usize {
        usize::MAX
    }
}

impl<F> TokenCounter for F
where
    F: Fn(Option<&str>, &str) -> u64 + Send + Sync + 'static,
{
    fn count(&self, model: Option<&str>, text: &str) -> u64 {
        self(model, text)
    }
}

/// Estimates with [`TokenEstimate`]: needs no vocabulary, and reads several hundred megabytes a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimated;

impl TokenCounter for Estimated {
    fn count(&self, _: Option<&str>, text: &str) -> u64 {
        TokenEstimate::of(text.as_bytes())
    }
}

/// What a prompt counts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputTokens {
    /// All of it.
    pub tokens: u64,
    /// It was counted, and has nothing in it but text: what the provider counts says how good the
    /// counter is.
    pub is_text: bool,
}

/// The tokens of a request's prompt: its texts by the counter, four for each message and three for the
/// answer's beginning where there are messages, [`medium`](TokenCounter::medium) for each image,
/// recording or file, and prompts that came as numbers one for each.
///
/// Of a gRPC call, whose texts are not read, it is [`Call::estimated_input`].
///
/// `None`: it is no LLM call, or could not be read ([`Call::unreadable`] says why).
pub fn input_tokens<C>(counter: &C, request: &Request<Payload>) -> Option<InputTokens>
where
    C: TokenCounter + ?Sized,
{
    let call = Call::of(request)?;
    if call.unreadable().is_some() {
        return None;
    }
    let mut left = counter.most_bytes();
    let mut tokens = 0u64;
    let prompt = Call::prompt(request, |text| {
        let (shown, rest) = text.split_at(boundary(text, left));
        left -= shown.len();
        if !shown.is_empty() {
            tokens = tokens.saturating_add(counter.count(call.model(), shown));
        }
        tokens = tokens.saturating_add(TokenEstimate::of(rest.as_bytes()));
    });
    let Some(prompt) = prompt else {
        return Some(InputTokens {
            tokens: call.estimated_input(),
            is_text: false,
        });
    };
    let between = match call.dialect() {
        Dialect::OpenAiEmbeddings | Dialect::OpenAiCompletions => 0,
        _ => 4 * prompt.messages + 3,
    };
    let media = prompt.media.saturating_mul(counter.medium(call.model()));
    let others = media.saturating_add(prompt.tokens).saturating_add(between);
    Some(InputTokens {
        tokens: tokens.saturating_add(others),
        is_text: prompt.media == 0,
    })
}

/// The last place at or before `most` at which a text can be cut.
fn boundary(text: &str, most: usize) -> usize {
    let mut at = most.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
