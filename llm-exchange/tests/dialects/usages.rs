//! No token is in two fields, whatever the provider's convention; the last usage counts.

use llm_exchange::{Dialect, Meter, Usage};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::ScriptedBody;

use crate::support::{call, framed, met};

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

/// Events of a stream, the last with this usage, the ones before with others.
fn streamed(events: &[Value]) -> String {
    let data = events.iter().map(|event| format!("data: {event}\n\n"));
    data.collect()
}

/// What was used, disjoint: the truth that every provider's numbers are made from.
#[derive(Clone, Copy, Debug)]
struct Truth {
    uncached: u64,
    cached: u64,
    written: u64,
    written_long: u64,
    visible: u64,
    reasoning: u64,
}

fn truth() -> impl Strategy<Value = Truth> {
    let count = || prop_oneof![Just(0u64), 0u64..100_000, Just(1 << 40)];
    (count(), count(), count(), count(), count(), count()).prop_map(
        |(uncached, cached, written, written_long, visible, reasoning)| Truth {
            uncached,
            cached,
            written,
            written_long,
            visible,
            reasoning,
        },
    )
}

impl Truth {
    fn input(&self) -> u64 {
        self.uncached + self.cached + self.written + self.written_long
    }

    fn output(&self) -> u64 {
        self.visible + self.reasoning
    }

    /// The fields that a provider's usage can tell apart.
    fn matches(&self, usage: Usage) -> bool {
        usage.uncached == self.uncached
            && usage.cached == self.cached
            && usage.cache_write == self.written
            && usage.cache_write_long == self.written_long
            && usage.visible == self.visible
            && usage.reasoning == self.reasoning
            && usage.total() == self.input() + self.output()
    }
}

proptest! {
    #[test]
    fn openai_counts_the_cache_and_reasoning_inside(t in truth()) {
        let details = json!({"cached_tokens": t.cached, "cache_write_tokens": t.written + t.written_long,
            "cache_write_tokens_details": {"ttl_30m_tokens": t.written, "ttl_12h_tokens": t.written_long}});
        let total = t.input() + t.output();
        let chat = json!({"choices": [], "usage": {
            "prompt_tokens": t.input(), "completion_tokens": t.output(), "total_tokens": total,
            "prompt_tokens_details": details, "completion_tokens_details": {"reasoning_tokens": t.reasoning}}});
        prop_assert!(t.matches(usage_of(Dialect::OpenAiChat, &chat)));
        let responses = json!({"status": "completed", "usage": {
            "input_tokens": t.input(), "output_tokens": t.output(), "total_tokens": total,
            "input_tokens_details": details, "output_tokens_details": {"reasoning_tokens": t.reasoning}}});
        prop_assert!(t.matches(usage_of(Dialect::OpenAiResponses, &responses)));
    }

    #[test]
    fn xai_counts_reasoning_beside_and_geminis_compatible_endpoint_hides_it(t in truth()) {
        let t = Truth { written: 0, written_long: 0, ..t };
        let total = t.input() + t.output();
        let details = json!({"cached_tokens": t.cached});
        let xai = json!({"choices": [], "usage": {
            "prompt_tokens": t.input(), "completion_tokens": t.visible, "total_tokens": total,
            "prompt_tokens_details": details, "completion_tokens_details": {"reasoning_tokens": t.reasoning}}});
        prop_assert!(t.matches(usage_of(Dialect::OpenAiChat, &xai)));
        let hidden = json!({"choices": [], "usage": {
            "prompt_tokens": t.input(), "completion_tokens": t.visible, "total_tokens": total,
            "prompt_tokens_details": details}});
        prop_assert!(t.matches(usage_of(Dialect::OpenAiChat, &hidden)));
    }

    #[test]
    fn one_cached_count_under_several_names_is_one(t in truth()) {
        let t = Truth { written: 0, written_long: 0, reasoning: 0, ..t };
        let mistral = json!({"choices": [], "usage": {
            "prompt_tokens": t.input(), "completion_tokens": t.visible, "num_cached_tokens": t.cached,
            "prompt_tokens_details": {"cached_tokens": t.cached}, "prompt_token_details": {"cached_tokens": t.cached}}});
        prop_assert!(t.matches(usage_of(Dialect::OpenAiChat, &mistral)));
        let deepseek = json!({"choices": [], "usage": {
            "prompt_tokens": t.input(), "completion_tokens": t.visible,
            "prompt_cache_hit_tokens": t.cached, "prompt_cache_miss_tokens": t.uncached}});
        prop_assert!(t.matches(usage_of(Dialect::OpenAiChat, &deepseek)));
    }

    #[test]
    fn anthropic_and_bedrock_count_the_cache_beside(t in truth()) {
        let anthropic = json!({"type": "message", "content": [], "usage": {
            "input_tokens": t.uncached, "cache_read_input_tokens": t.cached,
            "cache_creation_input_tokens": t.written + t.written_long,
            "cache_creation": {"ephemeral_5m_input_tokens": t.written, "ephemeral_1h_input_tokens": t.written_long},
            "output_tokens": t.output(), "output_tokens_details": {"thinking_tokens": t.reasoning}}});
        prop_assert!(t.matches(usage_of(Dialect::AnthropicMessages, &anthropic)));
        let t = Truth { reasoning: 0, ..t };
        let bedrock = json!({"stopReason": "end_turn", "usage": {
            "inputTokens": t.uncached, "outputTokens": t.visible, "totalTokens": t.input() + t.visible,
            "cacheReadInputTokens": t.cached, "cacheWriteInputTokens": t.written + t.written_long,
            "cacheDetails": [{"ttl": "5m", "inputTokens": t.written}, {"ttl": "1h", "inputTokens": t.written_long}]}});
        prop_assert!(t.matches(usage_of(Dialect::BedrockConverse, &bedrock)));
    }

    #[test]
    fn gemini_counts_reasoning_beside_unless_the_total_says_otherwise(t in truth(), tools in 0u64..1000) {
        let t = Truth { written: 0, written_long: 0, ..t };
        let whole = Truth { uncached: t.uncached + tools, ..t };
        let total = t.input() + tools + t.output();
        let mut usage = json!({"promptTokenCount": t.input(), "cachedContentTokenCount": t.cached,
            "toolUsePromptTokenCount": tools, "candidatesTokenCount": t.visible,
            "thoughtsTokenCount": t.reasoning, "totalTokenCount": total});
        let answer = json!({"usageMetadata": usage});
        prop_assert!(whole.matches(usage_of(Dialect::Gemini, &answer)));
        // inside: then prompt, tools and candidates are all there is
        usage["candidatesTokenCount"] = t.output().into();
        let answer = json!({"usageMetadata": usage});
        prop_assert!(whole.matches(usage_of(Dialect::Gemini, &answer)));
    }

    #[test]
    fn both_numberings_of_grpc_mean_the_same_as_the_json(t in truth(), tools in 0u64..1000) {
        let t = Truth { written: 0, written_long: 0, ..t };
        let whole = Truth { uncached: t.uncached + tools, ..t };
        let total = t.input() + tools + t.output();
        for (dialect, usage_field, [cached, tool_use, thoughts]) in [
            (Dialect::GeminiGrpc, 3, [4, 8, 10]),
            (Dialect::VertexGrpc, 4, [5, 13, 14]),
        ] {
            let mut usage = Vec::new();
            for (number, value) in [
                (1, t.input()), (2, t.visible), (3, total),
                (cached, t.cached), (tool_use, tools), (thoughts, t.reasoning),
            ] {
                usage.push(number << 3);
                put_varint(&mut usage, value);
            }
            let mut message = vec![usage_field << 3 | 2];
            put_varint(&mut message, usage.len() as u64);
            message.extend(usage);
            let meter = read(dialect, false, "application/grpc", framed(&message));
            prop_assert!(whole.matches(meter.usage().unwrap()), "{dialect:?}");
        }
    }

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

    #[test]
    fn the_last_usage_of_a_stream_counts_and_none_is_added(counts in prop::collection::vec(0u64..1000, 1..6)) {
        let last = *counts.last().unwrap();
        let openai: Vec<_> = counts.iter().flat_map(|count| [
            json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": count}}),
            json!({"choices": [], "usage": null}),
        ]).collect();
        let gemini: Vec<_> = counts.iter().map(|count| json!({
            "candidates": [{"finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": count}})).collect();
        for (dialect, events) in [(Dialect::OpenAiChat, openai), (Dialect::Gemini, gemini)] {
            let meter = read(dialect, true, "text/event-stream", streamed(&events));
            let usage = meter.usage().unwrap();
            prop_assert_eq!((usage.input(), usage.output()), (3, last));
        }
    }

    #[test]
    fn anthropics_deltas_replace_field_by_field(
        start in (0u64..100, 0u64..100), deltas in prop::collection::vec((prop::option::of(0u64..100), prop::option::of(0u64..100)), 0..4),
    ) {
        let mut events = vec![json!({"type": "message_start", "message": {
            "usage": {"input_tokens": start.0, "output_tokens": start.1, "cache_read_input_tokens": 5}}})];
        let mut expected = start;
        for (input, output) in &deltas {
            expected = (input.unwrap_or(expected.0), output.unwrap_or(expected.1));
            // null is as if it weren't there
            events.push(json!({"type": "message_delta", "delta": {},
                "usage": {"input_tokens": input, "output_tokens": output}}));
        }
        let meter = read(Dialect::AnthropicMessages, true, "text/event-stream", streamed(&events));
        let usage = meter.usage().unwrap();
        prop_assert_eq!((usage.uncached, usage.cached, usage.visible), (expected.0, 5, expected.1));
    }

    #[test]
    fn iterations_are_apart_and_all_of_them_are_the_whole(
        parts in prop::collection::vec((0u64..1000, 0u64..1000, prop::option::of("[a-z]{3}")), 1..5),
    ) {
        let iterations: Vec<_> = parts.iter().map(|(input, output, model)| {
            let mut iteration = json!({"type": "message", "input_tokens": input, "output_tokens": output,
                "cache_read_input_tokens": 2});
            if let Some(model) = model {
                iteration["model"] = model.as_str().into();
            }
            iteration
        }).collect();
        // the totals beside them lack the compaction
        let answer = json!({"type": "message", "model": "own", "usage": {
            "input_tokens": parts[0].0, "output_tokens": parts[0].1, "iterations": iterations}});
        let meter = read(Dialect::AnthropicMessages, false, "application/json", answer.to_string());
        let apart = meter.usage_parts();
        prop_assert_eq!(apart.len(), parts.len());
        for ((model, usage), (input, output, expected)) in apart.iter().zip(&parts) {
            prop_assert_eq!(model, expected);
            prop_assert_eq!((usage.uncached, usage.cached, usage.output()), (*input, 2, *output));
        }
        let sum = apart.iter().map(|(_, usage)| *usage).reduce(Usage::plus).unwrap();
        prop_assert_eq!(meter.usage(), Some(sum));
    }
}

fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
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
