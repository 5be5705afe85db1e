//! The names and words by which providers say what their status does not. Names are compared in
//! lower case: Google writes the same ones in both, and AWS with a small or a big first letter.

use http::StatusCode;

use crate::{ProviderError, Verdict};

/// What a name means on whichever status it comes.
pub(super) fn by_name(name: &str) -> Option<Verdict> {
    Some(match &*name.to_ascii_lowercase() {
        "insufficient_quota"
        | "credit_balance_exhausted"
        | "organization_spend_limit_exceeded"
        | "project_spend_limit_exceeded"
        | "organization_usage_limit_exceeded"
        | "billing_hard_limit_reached"
        | "billing_not_active"
        | "billing_error"
        | "enforced_spend_limit_reached"
        | "contract_spend_limit_reached"
        | "servicequotaexceededexception" => Verdict::QuotaExhausted,
        "context_length_exceeded" => Verdict::PromptTooLong,
        "content_filter"
        | "content_policy_violation"
        | "invalid_prompt"
        | "cyber_policy"
        | "responsibleaipolicyviolation" => Verdict::Filtered,
        // Anthropic's two 400s that pass.
        "thread_continue_in_flight" | "request_body_timeout" => Verdict::Failed,
        // Google's 409 that no second try changes, unlike ABORTED.
        "already_exists" => Verdict::CallersFault,
        _ => return None,
    })
}

/// Names for the rate and the load, which outrank a status that is too general.
pub(super) fn pressure(name: &str) -> Option<Verdict> {
    Some(match &*name.to_ascii_lowercase() {
        "overloaded_error" | "server_is_overloaded" | "provider_overloaded" | "overloaded" => {
            Verdict::Overloaded
        }
        "slow_down" | "ramp_limit_exceeded" | "resource_exhausted" | "throttlingexception" => {
            Verdict::Throttled
        }
        name if name.starts_with("rate_limit") => Verdict::Throttled,
        _ => return None,
    })
}

/// A throttling that waiting does not end (today).
pub(super) fn is_hopeless(error: &ProviderError) -> bool {
    // Elsewhere `limit: 0` may be what remains; Google says it of a model that the tier has no
    // quota for.
    let of_google = error
        .names()
        .any(|name| name.eq_ignore_ascii_case("resource_exhausted"));
    let message = error.message().unwrap_or_default().to_ascii_lowercase();
    error.is_per_day()
        || (of_google && amounts_after(&message, "limit: ").any(|limit| limit == 0))
        || message.contains("prepayment credits are depleted")
}

/// A throttling of one call that alone is over the limit.
pub(super) fn is_over_the_limit(error: &ProviderError) -> bool {
    let message = error.message().unwrap_or_default().to_ascii_lowercase();
    let alone = amounts_after(&message, "limit ")
        .zip(amounts_after(&message, "requested "))
        .any(|(limit, requested)| requested > limit);
    alone || message.contains("token budget exceeded by request parameters")
}

/// A refused call that is longer than the model's context.
pub(super) fn is_too_long(status: StatusCode, error: &ProviderError) -> bool {
    const WORDS: [&str; 7] = [
        "prompt is too long",                           // Anthropic
        "maximum context length",                       // vLLM, older OpenAI
        "exceeds the maximum number of tokens allowed", // Gemini
        "`inputs` tokens + `max_new_tokens` must be",   // TGI
        "exceeds the available context size",           // llama.cpp
        "input is too long",                            // Bedrock
        "current length is",                            // Cerebras
    ];
    // OpenAI says it of a field such as `user`.
    let of_a_field = error.names().any(|name| name == "string_above_max_length");
    let message = error.message().unwrap_or_default().to_ascii_lowercase();
    matches!(status.as_u16(), 400 | 413 | 422)
        && !of_a_field
        && WORDS.iter().any(|words| message.contains(words))
}

/// The whole numbers that follow `words`; thousands may be set off by commas.
fn amounts_after<'a>(message: &'a str, words: &'a str) -> impl Iterator<Item = u64> {
    message.match_indices(words).filter_map(|(at, words)| {
        let rest = &message[at + words.len()..];
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == ','))
            .unwrap_or(rest.len());
        let (whole, rest) = rest.split_at(end);
        let fraction = rest.strip_prefix('.').unwrap_or_default();
        if fraction.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        whole.replace(',', "").parse().ok()
    })
}
