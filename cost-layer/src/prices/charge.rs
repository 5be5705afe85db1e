//! What one purchase came to, item by item.

use llm_exchange::Money;

/// What one call, or one attempt of it, was charged: each item exact and rounded once to a
/// pico-dollar, so that any sum of charges is exact.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Prompt tokens at the plain rate.
    pub input: Money,
    /// Prompt tokens read from the provider's cache.
    pub cached: Money,
    /// Prompt tokens written to it for its short time.
    pub cache_write: Money,
    /// Prompt tokens written to it for its long time.
    pub cache_write_long: Money,
    /// Prompt tokens of audio.
    pub audio_input: Money,
    /// Generated tokens that are neither reasoning nor audio.
    pub output: Money,
    /// Generated tokens of reasoning.
    pub reasoning: Money,
    /// Generated tokens of audio.
    pub audio_output: Money,
    /// Fees of tools that the provider ran: web searches.
    pub tools: Money,
    /// What the provider itself says it cost (OpenRouter). It counts instead of the items, which are
    /// then what the price table makes of the tokens, or zero.
    pub stated: Option<Money>,
    /// No price was known, and the app's fallback price was taken.
    pub is_fallback: bool,
    /// An item is too large to be true; it was cut down to the largest amount there is.
    pub saturated: bool,
}

impl Charge {
    /// What a provider says it cost.
    pub(crate) const fn stated(picos: u64) -> Self {
        Self {
            stated: Some(Money::from_picos(picos as u128)),
            ..Self::ZERO
        }
    }

    const ZERO: Self = Self {
        input: Money::ZERO,
        cached: Money::ZERO,
        cache_write: Money::ZERO,
        cache_write_long: Money::ZERO,
        audio_input: Money::ZERO,
        output: Money::ZERO,
        reasoning: Money::ZERO,
        audio_output: Money::ZERO,
        tools: Money::ZERO,
        stated: None,
        is_fallback: false,
        saturated: false,
    };

    /// Both together. The provider's own word counts only where it gave it of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        let sum = Money::saturating_add;
        let stated = self.stated.is_some() && other.stated.is_some();
        Self {
            input: sum(self.input, other.input),
            cached: sum(self.cached, other.cached),
            cache_write: sum(self.cache_write, other.cache_write),
            cache_write_long: sum(self.cache_write_long, other.cache_write_long),
            audio_input: sum(self.audio_input, other.audio_input),
            output: sum(self.output, other.output),
            reasoning: sum(self.reasoning, other.reasoning),
            audio_output: sum(self.audio_output, other.audio_output),
            tools: sum(self.tools, other.tools),
            stated: stated.then(|| sum(self.total(), other.total())),
            is_fallback: self.is_fallback || other.is_fallback,
            saturated: self.saturated || other.saturated,
        }
    }

    /// The whole charge.
    #[must_use]
    pub fn total(&self) -> Money {
        if let Some(stated) = self.stated {
            return stated;
        }
        [
            self.input,
            self.cached,
            self.cache_write,
            self.cache_write_long,
            self.audio_input,
            self.output,
            self.reasoning,
            self.audio_output,
            self.tools,
        ]
        .into_iter()
        .fold(Money::ZERO, Money::saturating_add)
    }
}
