//! Token counts in one form, whatever the provider's convention.

/// What an answer used, normalised so that no token is in two fields.
///
/// Providers differ in what their totals include: OpenAI counts cached tokens inside of the prompt's,
/// Anthropic beside it; xAI and Gemini count reasoning beside the output, the others inside. Here
/// every field is disjoint from every other, and [`input`](Self::input) and
/// [`output`](Self::output) are the sums.
///
/// The provider's own numbers can be had back: OpenAI's `prompt_tokens` is `input()` and its
/// `completion_tokens` is `output()`; Anthropic's `input_tokens` is `uncached` and its
/// `cache_creation_input_tokens` is `cache_write + cache_write_long`.
///
/// Sums saturate. A detail that exceeds its total, as some servers report, is cut down to it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens at the plain input rate.
    pub uncached: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached: u64,
    /// Prompt tokens written to the provider's cache for its short time (Anthropic 5 minutes, OpenAI
    /// 30 minutes).
    pub cache_write: u64,
    /// Prompt tokens written to the provider's cache for its long time (Anthropic 1 hour, OpenAI
    /// 12 hours).
    pub cache_write_long: u64,
    /// Prompt tokens of audio that were not cached.
    pub audio_input: u64,
    /// Generated tokens that are neither reasoning nor audio.
    pub visible: u64,
    /// Generated tokens of reasoning, shown or not.
    pub reasoning: u64,
    /// Generated tokens of audio.
    pub audio_output: u64,
    /// Web searches that the provider made: requests, not tokens.
    pub web_searches: u64,
    /// The cost that the provider itself states (OpenRouter), in pico-dollars (10⁻¹² USD).
    pub stated_pico_usd: Option<u64>,
}

impl Usage {
    /// All tokens of the prompt.
    #[must_use]
    pub const fn input(&self) -> u64 {
        self.uncached
            .saturating_add(self.cached)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_long)
            .saturating_add(self.audio_input)
    }

    /// All generated tokens.
    #[must_use]
    pub const fn output(&self) -> u64 {
        self.visible
            .saturating_add(self.reasoning)
            .saturating_add(self.audio_output)
    }

    /// Prompt and generated tokens together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.input().saturating_add(self.output())
    }

    /// The usage of both together. A stated cost stays only where both have one.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            uncached: self.uncached.saturating_add(other.uncached),
            cached: self.cached.saturating_add(other.cached),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_long: self.cache_write_long.saturating_add(other.cache_write_long),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            visible: self.visible.saturating_add(other.visible),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            web_searches: self.web_searches.saturating_add(other.web_searches),
            stated_pico_usd: self
                .stated_pico_usd
                .zip(other.stated_pico_usd)
                .map(|(one, other)| one.saturating_add(other)),
        }
    }
}

/// The best that is known of an answer's tokens so far: the provider's numbers where it gave them,
/// else estimates.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt.
    pub input: u64,
    /// Generated.
    pub output: u64,
    /// `input` was estimated from the size of the request.
    pub input_estimated: bool,
    /// `output` was estimated from the text that passed, which is not all that a provider bills:
    /// reasoning may be hidden.
    pub output_estimated: bool,
}

impl Tokens {
    /// Prompt and generated tokens together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Whether either number is an estimate.
    #[must_use]
    pub const fn is_estimated(&self) -> bool {
        self.input_estimated || self.output_estimated
    }
}
