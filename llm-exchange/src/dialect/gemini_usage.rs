//! Usage as Google counts it, in JSON and in both of its gRPC services.

use serde::Deserialize;

use super::{
    json::{MaybeCount, Text},
    openai_usage::take,
};
use crate::{Usage, meter::Reading};

/// Google's own numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Cached tokens are part of it.
    pub(super) prompt: u64,
    pub(super) cached: u64,
    /// Of what tools put into the prompt; beside it.
    pub(super) tool_use: u64,
    pub(super) candidates: u64,
    /// Beside the candidates, or inside of them: the total tells.
    pub(super) thoughts: u64,
    pub(super) total: u64,
    /// Parts of `prompt`, of `cached` and of `candidates`.
    pub(super) audio_prompt: u64,
    pub(super) audio_cached: u64,
    pub(super) audio_candidates: u64,
}

impl Counts {
    pub(super) fn usage(self) -> Usage {
        let without_thoughts = self
            .prompt
            .saturating_add(self.candidates)
            .saturating_add(self.tool_use);
        let inside = self.total > 0 && self.total == without_thoughts;
        let output = if inside {
            self.candidates
        } else {
            self.candidates.saturating_add(self.thoughts)
        };

        let mut usage = Usage::default();
        let mut prompt = self.prompt;
        usage.cached = take(&mut prompt, Some(self.cached));
        let uncached_audio = self.audio_prompt.saturating_sub(self.audio_cached);
        usage.audio_input = take(&mut prompt, Some(uncached_audio));
        usage.uncached = prompt.saturating_add(self.tool_use);

        let mut output = output;
        usage.reasoning = take(&mut output, Some(self.thoughts));
        usage.audio_output = take(&mut output, Some(self.audio_candidates));
        usage.visible = output;
        usage
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'a> {
    prompt_token_count: MaybeCount,
    cached_content_token_count: MaybeCount,
    tool_use_prompt_token_count: MaybeCount,
    candidates_token_count: MaybeCount,
    thoughts_token_count: MaybeCount,
    total_token_count: MaybeCount,
    #[serde(borrow)]
    prompt_tokens_details: Option<Vec<Modality<'a>>>,
    #[serde(borrow)]
    cache_tokens_details: Option<Vec<Modality<'a>>>,
    #[serde(borrow)]
    candidates_tokens_details: Option<Vec<Modality<'a>>>,
    #[serde(borrow)]
    traffic_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Modality<'a> {
    #[serde(borrow)]
    modality: Option<Text<'a>>,
    #[serde(default)]
    token_count: MaybeCount,
}

fn audio(details: Option<&[Modality<'_>]>) -> u64 {
    let of_audio = |one: &&Modality<'_>| one.modality.as_ref().is_some_and(|of| of.0 == "AUDIO");
    let all = details.unwrap_or_default().iter().filter(of_audio);
    all.filter_map(|one| one.token_count.0)
        .fold(0, u64::saturating_add)
}

/// The usage at the start of the bytes. What is zero is left out of it; where all is, nothing was counted yet.
pub(super) fn read(json: &[u8], reading: &mut Reading) {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<Metadata<'_>>();
    let Some(Ok(usage)) = values.next() else {
        return;
    };
    if let Some(tier) = &usage.traffic_type {
        reading.set_tier(&tier.0);
    }
    let count = |count: MaybeCount| count.0.unwrap_or(0);
    let totals = [
        usage.prompt_token_count,
        usage.candidates_token_count,
        usage.total_token_count,
    ];
    if totals.iter().all(|total| total.0.is_none()) {
        return;
    }
    let counts = Counts {
        prompt: count(usage.prompt_token_count),
        cached: count(usage.cached_content_token_count),
        tool_use: count(usage.tool_use_prompt_token_count),
        candidates: count(usage.candidates_token_count),
        thoughts: count(usage.thoughts_token_count),
        total: count(usage.total_token_count),
        audio_prompt: audio(usage.prompt_tokens_details.as_deref()),
        audio_cached: audio(usage.cache_tokens_details.as_deref()),
        audio_candidates: audio(usage.candidates_tokens_details.as_deref()),
    };
    reading.set_usage(counts.usage());
}
