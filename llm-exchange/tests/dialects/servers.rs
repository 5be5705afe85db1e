//! The servers that speak OpenAI's chat completions and the other dialects a little differently: one
//! oddity each, by name.

use llm_exchange::{Call, Dialect, End, FinishReason, Meter, Verdict};
use serde_json::{Value, json};

use crate::support::{Chunks, call, met, request};

/// A stream of these chunks, and what stands between them.
fn stream(events: &[&str]) -> String {
    events
        .iter()
        .map(|event| match event.strip_prefix(':') {
            Some(_) => format!("{event}\n\n"),
            None => format!("data: {event}\n\n"),
        })
        .collect()
}

async fn streamed(dialect: Dialect, events: &[&str]) -> Meter {
    let body = Chunks::chunks([stream(events)]);
    met("text/event-stream", body, &call(dialect, true)).await
}

async fn answered(answer: Value) -> Meter {
    let body = Chunks::chunks([answer.to_string()]);
    met("application/json", body, &call(Dialect::OpenAiChat, false)).await
}

const SAID: &str = r#"{"choices":[{"index":0,"delta":{"content":"Lemon"}}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#;
const DONE: &str = "[DONE]";

fn counts(meter: &Meter) -> Option<(u64, u64)> {
    let usage = meter.usage()?;
    Some((usage.input(), usage.output()))
}

fn choice(finish: &str, usage: Value) -> Value {
    json!({"id": "c", "model": "m", "usage": usage, "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "Lemon"}, "finish_reason": finish}]})
}

#[tokio::test]
async fn azures_first_chunk_has_no_choices_and_is_no_usage() {
    let filter = r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#;
    let meter = streamed(Dialect::OpenAiChat, &[filter, SAID, STOP, USAGE, DONE]).await;
    assert_eq!(meter.end(), Some(End::Complete));
    assert_eq!((counts(&meter), meter.contents()), (Some((7, 3)), 1));
    assert_eq!(
        meter.usage_events().len(),
        1,
        "the filter's chunk is not hidden"
    );
}

#[test]
fn azures_deployment_is_the_model_in_both_kinds_of_path() {
    for (path, body) in [
        (
            "/openai/deployments/own/chat/completions?api-version=1",
            "{}",
        ),
        ("/openai/v1/chat/completions", r#"{"model":"own"}"#),
    ] {
        let request = request(Dialect::OpenAiChat, path, body);
        assert_eq!(Call::of(&request).unwrap().model(), Some("own"), "{path}");
    }
}

#[tokio::test]
async fn heartbeats_and_comments_are_nothing() {
    let beat = r#"{"choices":[]}"#;
    for between in [beat, ": OPENROUTER PROCESSING", ": keep-alive"] {
        let meter = streamed(
            Dialect::OpenAiChat,
            &[between, SAID, between, STOP, between, USAGE, DONE],
        )
        .await;
        assert_eq!(meter.end(), Some(End::Complete), "{between}");
        assert_eq!((counts(&meter), meter.contents()), (Some((7, 3)), 1));
    }
}

#[tokio::test]
async fn mistral_counts_on_the_last_choice_and_one_number_under_three_names() {
    let last = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"model_length"}],"usage":
        {"prompt_tokens":300,"completion_tokens":9,"num_cached_tokens":256,
        "prompt_tokens_details":{"cached_tokens":256},"prompt_token_details":{"cached_tokens":256}}}"#
        .replace('\n', "");
    let meter = streamed(Dialect::OpenAiChat, &[SAID, &last, DONE]).await;
    assert_eq!(counts(&meter), Some((300, 9)));
    assert_eq!(meter.usage().unwrap().cached, 256);
    assert_eq!(meter.finish(), Some(FinishReason::Length));
}

#[tokio::test]
async fn groqs_two_usages_are_one() {
    let last = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r",
        "usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"queue_time":0.1}}}"#
        .replace('\n', "");
    for with in [&[SAID, &last, USAGE, DONE][..], &[SAID, &last, DONE]] {
        let meter = streamed(Dialect::OpenAiChat, with).await;
        assert_eq!(
            (counts(&meter), meter.end()),
            (Some((7, 3)), Some(End::Complete))
        );
    }
}

#[tokio::test]
async fn deepseek_may_give_up_and_writes_blank_lines_first() {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 4,
        "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4});
    let answer = choice("insufficient_system_resource", usage);
    let body = Chunks::chunks(["\n\n".to_owned(), "\n".to_owned(), answer.to_string()]);
    let meter = met("application/json", body, &call(Dialect::OpenAiChat, false)).await;
    assert_eq!(meter.finish(), Some(FinishReason::Failed));
    assert_eq!(
        (counts(&meter), meter.usage().unwrap().cached),
        (Some((10, 4)), 6)
    );
    let request = request(
        Dialect::OpenAiChat,
        "/chat/completions",
        r#"{"model":"m","user_id":"u"}"#,
    );
    let call = Call::of(&request).unwrap();
    assert_eq!((call.model(), call.end_user()), (Some("m"), Some("u")));
}

#[tokio::test]
async fn openrouters_error_stands_beside_a_choice_that_ends_by_it() {
    let failed =
        r#"{"error":{"code":502,"message":"m","metadata":{"error_type":"provider_overloaded"}},
        "choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#
            .replace('\n', "");
    let meter = streamed(Dialect::OpenAiChat, &[SAID, &failed, DONE]).await;
    assert_eq!(meter.end(), Some(End::Errored));
    assert_eq!(meter.error().unwrap().message(), Some("m"));
    assert_ne!(meter.verdict(), Verdict::Ok);
}

#[tokio::test]
async fn a_choice_that_ends_by_an_error_is_a_failure_though_nothing_else_says_so() {
    let last = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#;
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3});
    for meter in [
        streamed(Dialect::OpenAiChat, &[SAID, last, USAGE, DONE]).await,
        answered(choice("error", usage.clone())).await,
        answered(choice("insufficient_system_resource", usage)).await,
    ] {
        assert_eq!(meter.end(), Some(End::Errored));
        assert_eq!(meter.verdict(), Verdict::Failed);
        assert!(!meter.is_complete());
        assert_eq!(counts(&meter), Some((7, 3)), "it is billed all the same");
    }
}

#[tokio::test]
async fn xais_reasoning_is_beside_its_completion() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 410,
        "prompt_tokens_details": {"text_tokens": 100, "cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 300}, "cost_in_usd_ticks": 19_640_000});
    let meter = answered(choice("stop", usage)).await;
    assert_eq!(counts(&meter), Some((100, 310)));
    let usage = meter.usage().unwrap();
    assert_eq!(usage.reasoning, 300);
    assert_eq!(usage.stated_pico_usd, Some(1_964_000_000));
}

#[tokio::test]
async fn what_ollama_swallows_is_a_truncation() {
    // its own error becomes an empty delta, and then nothing comes
    let empty = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
    let meter = streamed(Dialect::OpenAiChat, &[SAID, empty]).await;
    assert_eq!(
        (meter.end(), meter.verdict()),
        (Some(End::Truncated), Verdict::Failed)
    );
}

#[tokio::test]
async fn vllm_counts_as_it_goes_and_says_done_after_an_error() {
    let running = |tokens: Value| {
        json!({"choices": [{"index": 0, "delta": {"content": "x"}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": tokens, "prompt_tokens_details": null}})
        .to_string()
    };
    let chunks = [running(json!(1)), running(Value::Null), running(json!(3))];
    let [first, none, last] = &chunks;
    let meter = streamed(Dialect::OpenAiChat, &[first, none, last, STOP, DONE]).await;
    assert_eq!(
        (counts(&meter), meter.end()),
        (Some((7, 3)), Some(End::Complete))
    );

    let error = r#"{"error":{"message":"m","type":"InternalServerError","param":null,"code":500}}"#;
    let meter = streamed(Dialect::OpenAiChat, &[SAID, error, DONE]).await;
    assert_eq!(meter.end(), Some(End::Errored));
    let meter = answered(choice("abort", Value::Null)).await;
    assert_eq!(meter.finish(), Some(FinishReason::Failed));
}

#[tokio::test]
async fn tgi_ends_by_a_token_and_errs_in_two_words() {
    let meter = answered(choice(
        "eos_token",
        json!({"prompt_tokens": 1, "completion_tokens": 2}),
    ))
    .await;
    assert_eq!(meter.finish(), Some(FinishReason::Stop));
    let error = r#"{"error":"m","error_type":"generation"}"#;
    let meter = streamed(Dialect::OpenAiChat, &[SAID, error, DONE]).await;
    assert_eq!(meter.end(), Some(End::Errored));
    assert_eq!(meter.error().unwrap().code(), Some("generation"));
}

#[tokio::test]
async fn geminis_compatible_endpoint_hides_its_reasoning_in_the_total() {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 62});
    let meter = answered(choice("stop", usage)).await;
    assert_eq!(counts(&meter), Some((9, 53)));
    assert_eq!(meter.usage().unwrap().reasoning, 50);
    let path = "/v1beta/openai/chat/completions";
    let request = request(Dialect::OpenAiChat, path, r#"{"model":"gemini-3.8-flash"}"#);
    assert_eq!(Call::of(&request).unwrap().dialect(), Dialect::OpenAiChat);
}

#[tokio::test]
async fn servers_that_speak_anthropics_messages_may_guess_first_and_know_at_the_end() {
    let events = [
        json!({"type": "message_start", "message": {"model": "glm", "usage":
            {"input_tokens": 1, "output_tokens": 0}}}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "Lemon"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage":
            {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 5}}),
        // as Bedrock invokes it
        json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 1}}),
    ]
    .map(|event| event.to_string());
    let events: Vec<_> = events.iter().map(|event| &**event).collect();
    let meter = streamed(Dialect::AnthropicMessages, &events).await;
    assert_eq!(
        (counts(&meter), meter.end()),
        (Some((100, 5)), Some(End::Complete))
    );
}

#[test]
fn every_finish_reason_of_the_servers_has_its_meaning() {
    for (reasons, meaning) in [
        (
            "stop end_turn stop_sequence STOP eos_token",
            FinishReason::Stop,
        ),
        (
            "length max_tokens MAX_TOKENS max_output_tokens model_length \
             model_context_window_exceeded",
            FinishReason::Length,
        ),
        ("tool_calls tool_use function_call", FinishReason::Tool),
        (
            "content_filter refusal SAFETY guardrail_intervened content_filtered BLOCKLIST SPII \
             IMAGE_SAFETY",
            FinishReason::Filtered,
        ),
        ("pause_turn CONTINUATION compaction", FinishReason::Continue),
        (
            "error insufficient_system_resource abort aborted",
            FinishReason::Failed,
        ),
        ("load unload OTHER x", FinishReason::Unknown),
    ] {
        for reason in reasons.split_whitespace() {
            assert_eq!(FinishReason::of(reason), meaning, "{reason}");
        }
    }
}
