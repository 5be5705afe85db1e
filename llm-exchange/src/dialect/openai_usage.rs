//! Usage as OpenAI writes it, in two vocabularies, and the servers that speak its formats.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::MaybeCount;
use crate::{Usage, meter::Reading};

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default)]
    prompt_tokens: MaybeCount,
    #[serde(default)]
    completion_tokens: MaybeCount,
    /// The same in responses. Some servers write both.
    #[serde(default)]
    input_tokens: MaybeCount,
    #[serde(default)]
    output_tokens: MaybeCount,
    #[serde(default)]
    total_tokens: MaybeCount,
    input_tokens_details: Option<PromptDetails>,
    output_tokens_details: Option<CompletionDetails>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// Mistral writes the same number under three names.
    prompt_token_details: Option<PromptDetails>,
    #[serde(default)]
    num_cached_tokens: MaybeCount,
    /// DeepSeek
    #[serde(default)]
    prompt_cache_hit_tokens: MaybeCount,
    /// OpenRouter, in dollars
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
    /// xAI
    #[serde(default)]
    cost_in_usd_ticks: MaybeCount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: MaybeCount,
    cache_write_tokens: MaybeCount,
    cache_write_tokens_details: Option<WriteDetails>,
    audio_tokens: MaybeCount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WriteDetails {
    ttl_12h_tokens: MaybeCount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: MaybeCount,
    audio_tokens: MaybeCount,
}

/// The usage at the start of the bytes. `None`: it is no object, or has no counts.
///
/// Details are part of their totals, and may overlap each other or exceed them. Where the total is
/// more than prompt and completion, the difference was generated too: xAI counts reasoning beside
/// the completion, and Gemini's compatible endpoint hides it.
pub(super) fn of(json: &[u8]) -> Option<Usage> {
    let wire: Wire<'_> = serde_json::Deserializer::from_slice(json)
        .into_iter()
        .next()?
        .ok()?;
    let prompt = wire.prompt_tokens.0.or(wire.input_tokens.0);
    let completion = wire.completion_tokens.0.or(wire.output_tokens.0);
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    let details = wire.prompt_tokens_details.or(wire.input_tokens_details);
    let details = details.unwrap_or_default();
    let more = wire.prompt_token_details.unwrap_or_default();
    let cached = details
        .cached_tokens
        .0
        .or(wire.prompt_cache_hit_tokens.0)
        .or(wire.num_cached_tokens.0)
        .or(more.cached_tokens.0);

    let mut usage = Usage::default();
    let mut prompt = prompt.unwrap_or(0);
    let total = wire.total_tokens.0.unwrap_or(0);
    let completion = completion.unwrap_or(0);
    let hidden = total.saturating_sub(prompt.saturating_add(completion));

    usage.cached = take(&mut prompt, cached);
    usage.cache_write = take(&mut prompt, details.cache_write_tokens.0);
    let long = details.cache_write_tokens_details.unwrap_or_default();
    usage.cache_write_long = take(&mut usage.cache_write, long.ttl_12h_tokens.0);
    usage.audio_input = take(&mut prompt, details.audio_tokens.0);
    usage.uncached = prompt;

    let details = wire
        .completion_tokens_details
        .or(wire.output_tokens_details);
    let details = details.unwrap_or_default();
    let mut output = completion.saturating_add(hidden);
    let reasoning = details.reasoning_tokens.0.unwrap_or(0).max(hidden);
    usage.reasoning = take(&mut output, Some(reasoning));
    usage.audio_output = take(&mut output, details.audio_tokens.0);
    usage.visible = output;
    let ticks = wire.cost_in_usd_ticks.0;
    usage.stated_pico_usd = wire
        .cost
        .and_then(|cost| pico_usd(cost.get()))
        .or(ticks.and_then(|ticks| ticks.checked_mul(PICO_USD_A_TICK)));
    Some(usage)
}

/// xAI counts in ten-billionths of a dollar.
const PICO_USD_A_TICK: u64 = 100;

/// Reads the usage at the start of the bytes.
pub(super) fn read(json: &[u8], reading: &mut Reading) {
    if let Some(usage) = of(json) {
        reading.set_usage(usage);
    }
}

/// Takes a part out of what is left of a total.
pub(super) fn take(left: &mut u64, part: Option<u64>) -> u64 {
    let part = part.unwrap_or(0).min(*left);
    *left -= part;
    part
}

/// A float of dollars, to the nearest pico-dollar; a negative or an impossible one is none.
fn pico_usd(dollars: &str) -> Option<u64> {
    let pico = (dollars.parse::<f64>().ok()? * 1e12).round();
    // `as` would saturate
    ((0.0..=1e18).contains(&pico)).then_some(pico as u64)
}
