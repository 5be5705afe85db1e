//! Usages of which the rules of `usage_rules.rs` say nothing: details of audio, tiers, answers too large to be held.

use llm_exchange::{Dialect, End, Meter, Usage};
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
fn what_anthropic_wrote_to_its_cache_is_the_sum_of_its_parts_where_none_is_given() {
    let written = |total: serde_json::Value| {
        let usage = usage_of(
            Dialect::AnthropicMessages,
            &json!({"usage": {"input_tokens": 1, "output_tokens": 1,
                "cache_creation_input_tokens": total, "cache_creation":
                {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200}}}),
        );
        (usage.cache_write, usage.cache_write_long)
    };
    assert_eq!(written(json!(null)), (300, 200));
    assert_eq!(written(json!(500)), (300, 200));
    assert_eq!(written(json!(0)), (0, 0), "what is given counts");
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
        (
            Dialect::Ollama,
            format!(
                r#"{{"model":"m","message":{{"content":"{text} \"done_reason\":1"}},"done_reason":"stop","done":true,"load_duration":1,"prompt_eval_count":8,"eval_count":500}}"#
            ),
            8,
        ),
    ] {
        let meter = read(dialect, false, "application/json", answer);
        assert_eq!(meter.usage().unwrap().input(), input);
    }
}

#[test]
fn a_large_answer_without_a_usage_costs_a_quarter_of_its_bytes_but_embeddings_nothing() {
    let text = "lemon ".repeat(300_000);
    for (dialect, answer, generated) in [
        (
            Dialect::OpenAiChat,
            format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}]}}"#),
            true,
        ),
        (
            Dialect::Ollama,
            format!(r#"{{"response":"{text}","done":true,"done_reason":"stop"}}"#),
            true,
        ),
        (
            Dialect::OpenAiEmbeddings,
            format!(r#"{{"data":[{{"embedding":"{text}"}}]}}"#),
            false,
        ),
    ] {
        let expected = if generated {
            answer.len() as u64 / 4
        } else {
            0
        };
        let meter = read(dialect, false, "application/json", answer);
        assert_eq!(meter.usage(), None);
        assert_eq!(meter.end(), Some(End::Complete));
        let (spent, estimated) = meter.spent();
        assert_eq!((spent.output(), estimated), (expected, true), "{dialect:?}");
    }
}

/// A picture in an event, and the usage behind it, as Google and OpenAI write it.
fn with_a_picture(dialect: Dialect, bytes: usize) -> (&'static str, String) {
    let picture = "A".repeat(bytes);
    match dialect {
        Dialect::OpenAiResponses => (
            "text/event-stream",
            format!(
                r#"data: {{"type":"response.completed","response":{{"output":[{{"result":"{picture}"}}],"usage":{{"input_tokens":7,"output_tokens":4}},"user":null,"metadata":{{"usage":"a"}}}}}}"#
            ) + "\n\n",
        ),
        _ => (
            "application/json",
            format!(
                r#"[{{"candidates":[{{"content":{{"parts":[{{"inlineData":{{"data":"{picture}"}}}}]}}}}],"usageMetadata":{{"promptTokenCount":7,"candidatesTokenCount":4}}}}"#
            ),
        ),
    }
}

#[test]
fn of_an_event_too_large_to_be_held_the_usage_at_its_end_is_found_however_it_comes() {
    let limit = 4 << 20;
    for dialect in [Dialect::OpenAiResponses, Dialect::Gemini] {
        // hardly too large, so that the usage stands before the limit; and much
        for bytes in [limit - 100, limit + 1, 3 * limit] {
            let (media_type, event) = with_a_picture(dialect, bytes);
            for size in [1009, 16 << 10, limit - 1, event.len()] {
                let chunks = event.as_bytes().chunks(size).map(<[u8]>::to_vec);
                let body = ScriptedBody::chunks(chunks);
                let meter = runtime().block_on(met(media_type, body, &call(dialect, true)));
                let usage = meter.usage().map(|usage| (usage.input(), usage.output()));
                assert_eq!(usage, Some((7, 4)), "{dialect:?}: {bytes} in {size}");
                assert!(matches!(meter.end(), Some(End::Unreadable)));
                assert!(!meter.spent().1, "nothing was estimated");
            }
        }
    }
}

#[test]
fn the_usage_of_an_event_behind_one_that_is_too_large_counts() {
    let (media_type, event) = with_a_picture(Dialect::Gemini, 5 << 20);
    let next = r#",{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":9}}]"#;
    let body = [event.as_bytes(), next.as_bytes()].concat();
    for size in [1009, 1 << 20, body.len()] {
        let chunks = body.chunks(size).map(<[u8]>::to_vec);
        let meter = runtime().block_on(met(
            media_type,
            ScriptedBody::chunks(chunks),
            &call(Dialect::Gemini, true),
        ));
        assert_eq!(meter.usage().unwrap().output(), 9, "in {size}");
    }
    // a text that has one is none
    let text = format!(
        r#"[{{"candidates":[{{"content":{{"parts":[{{"text":"{} \"usageMetadata\":{{\"promptTokenCount\":1}}"}}]}}}}]}}"#,
        "x".repeat(5 << 20)
    );
    let meter = read(Dialect::Gemini, true, media_type, text);
    assert_eq!(meter.usage(), None);
}
