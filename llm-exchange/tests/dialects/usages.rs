//! Usages of which the rules of `usage_rules.rs` say nothing: details of audio, tiers, answers too large to be held.

use llm_exchange::{Dialect, Meter, Usage};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::ScriptedBody;

use crate::support::{call, met};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn read(dialect: Dialect, stream: bool, media_type: &str, body: impl Into<bytes::Bytes>) -> Meter {
    let body = ScriptedBody::new().data(body);
    runtime().block_on(met(media_type, body, &call(dialect, stream)))
}

fn usage_of(dialect: Dialect, answer: &Value) -> Usage {
    let meter = read(dialect, false, "application/json", answer.to_string());
    meter
        .usage()
        .unwrap_or_else(|| panic!("no usage in {answer}"))
}

proptest! {
    #[test]
    fn details_that_exceed_their_totals_are_cut_down_to_them(
        // a total of nothing at all is taken for one that was not given
        prompt in 0u64..100, output in 1u64..100, details in 0u64..500, more in 0u64..500,
    ) {
        for usage in [
            usage_of(Dialect::OpenAiChat, &json!({"usage": {
                "prompt_tokens": prompt, "completion_tokens": output,
                "prompt_tokens_details": {"cached_tokens": details, "cache_write_tokens": more, "audio_tokens": details},
                "completion_tokens_details": {"reasoning_tokens": details, "audio_tokens": more}}})),
            usage_of(Dialect::Gemini, &json!({"usageMetadata": {
                "promptTokenCount": prompt, "candidatesTokenCount": output,
                "totalTokenCount": prompt + output, "thoughtsTokenCount": details,
                "cachedContentTokenCount": more,
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": details}]}})),
        ] {
            prop_assert_eq!((usage.input(), usage.output()), (prompt, output));
        }
        let usage = usage_of(Dialect::AnthropicMessages, &json!({"usage": {
            "input_tokens": prompt, "output_tokens": output, "cache_creation_input_tokens": details,
            "cache_creation": {"ephemeral_1h_input_tokens": more},
            "output_tokens_details": {"thinking_tokens": more}}}));
        prop_assert_eq!((usage.input(), usage.output()), (prompt + details, output));
    }
}

#[test]
fn audio_is_apart_from_text() {
    let usage = usage_of(
        Dialect::Gemini,
        &json!({"usageMetadata": {
            "promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 20,
            "totalTokenCount": 120,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 30}, {"modality": "AUDIO", "tokenCount": 70}],
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 40}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 15}]}}),
    );
    assert_eq!(
        (usage.cached, usage.audio_input, usage.uncached),
        (40, 30, 30)
    );
    assert_eq!((usage.audio_output, usage.visible), (15, 5));
}

#[test]
fn the_tier_that_served_is_the_answers() {
    for (dialect, answer, tier) in [
        (
            Dialect::Gemini,
            json!({"usageMetadata": {"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"}}),
            "ON_DEMAND_FLEX",
        ),
        (
            Dialect::BedrockConverse,
            json!({"stopReason": "end_turn", "serviceTier": {"type": "flex"}}),
            "flex",
        ),
        (
            Dialect::OpenAiResponses,
            json!({"status": "completed", "service_tier": "priority"}),
            "priority",
        ),
    ] {
        let meter = read(dialect, false, "application/json", answer.to_string());
        assert_eq!(meter.service_tier().as_deref(), Some(tier));
    }
}

#[test]
fn of_a_large_answer_the_usage_at_its_end_is_found() {
    let text = "x".repeat(2 << 20);
    for (dialect, answer, input) in [
        (
            Dialect::Gemini,
            format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}}}],"usageMetadata":{{"promptTokenCount":7}}}}"#
            ),
            7,
        ),
        (
            Dialect::OpenAiEmbeddings,
            format!(
                r#"{{"data":[{{"embedding":"{text}"}}],"model":"m","usage":{{"prompt_tokens":9,"total_tokens":9}}}}"#
            ),
            9,
        ),
    ] {
        let meter = read(dialect, false, "application/json", answer);
        assert_eq!(meter.usage().unwrap().input(), input);
    }
}
