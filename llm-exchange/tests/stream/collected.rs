//! A stream put together is the answer that would have come without one.

use llm_exchange::{
    Dialect::{self, AnthropicMessages, OpenAiChat},
    stream::StreamError,
};
use serde_json::{Value, json};

use crate::{
    support::{chunks, collect, decode, events},
    transcripts,
};

fn golden() -> Vec<(&'static str, Dialect, Value)> {
    vec![
        (
            "03-openai-chat-stream-usage.sse",
            OpenAiChat,
            json!({
                "id": "chatcmpl-x03", "object": "chat.completion", "created": 1795400001,
                "model": "gpt-6-sol-2026-09-22", "service_tier": "priority",
                "system_fingerprint": "fp_03",
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "Yellow", "refusal": null},
                     "logprobs": null, "finish_reason": "stop"},
                    {"index": 1, "message": {"role": "assistant", "content": "Gold", "refusal": null},
                     "logprobs": null, "finish_reason": "length"},
                ],
                "usage": {
                    "prompt_tokens": 18, "completion_tokens": 74, "total_tokens": 92,
                    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 64},
                },
            }),
        ),
        (
            "06-openai-chat-stream-tool-moderation.sse",
            OpenAiChat,
            json!({
                "id": "chatcmpl-x06", "object": "chat.completion", "created": 1795400001,
                "model": "gpt-6-sol-2026-09-22", "service_tier": "default",
                "system_fingerprint": "fp_03",
                "choices": [{
                    "index": 0,
                    "message": {
                        "role": "assistant", "content": null,
                        "tool_calls": [{
                            "id": "call_1", "type": "function",
                            "function": {"name": "lookup", "arguments": "{\"q\":\"lemon\"}"},
                        }],
                    },
                    "logprobs": null, "finish_reason": "tool_calls",
                }],
                "moderation": {
                    "input": {"type": "moderation_results", "model": "omni-moderation-latest",
                              "results": []},
                    "output": {"type": "error", "code": "unavailable",
                               "message": "moderation skipped"},
                },
            }),
        ),
        (
            "43-groq-chat-stream.sse",
            OpenAiChat,
            json!({
                "id": "g43", "object": "chat.completion", "created": 1795400005,
                "model": "openai/gpt-oss-120b",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yellow"},
                             "finish_reason": "stop"}],
                "x_groq": {"id": "req_g43", "usage": {
                    "queue_time": 0.01, "prompt_tokens": 20, "prompt_time": 0.002,
                    "completion_tokens": 33, "completion_time": 0.05, "total_tokens": 53,
                    "total_time": 0.052, "prompt_tokens_details": {"cached_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 21}}},
                "usage": {
                    "queue_time": 0.01, "prompt_tokens": 20, "prompt_time": 0.002,
                    "completion_tokens": 33, "completion_time": 0.05, "total_tokens": 53,
                    "total_time": 0.052, "prompt_tokens_details": {"cached_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 21}},
            }),
        ),
        (
            "48-openrouter-stream.sse",
            OpenAiChat,
            json!({
                "id": "gen-48", "object": "chat.completion", "created": 1795400005,
                "model": "anthropic/claude-sonnet-5.5", "provider": "Anthropic",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yellow"},
                             "finish_reason": "stop", "native_finish_reason": "end_turn"}],
                "usage": {
                    "prompt_tokens": 4121, "completion_tokens": 57, "total_tokens": 4178,
                    "cost": 0.00103, "is_byok": false,
                    "prompt_tokens_details": {"cached_tokens": 4096, "cache_write_tokens": 0,
                                              "audio_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 41},
                    "cost_details": {"upstream_inference_cost": null,
                                     "upstream_inference_prompt_cost": 0.00046,
                                     "upstream_inference_completions_cost": 0.00057}},
            }),
        ),
        (
            "23-anthropic-stream.sse",
            AnthropicMessages,
            json!({
                "id": "msg_s", "type": "message", "role": "assistant",
                "model": "claude-sonnet-5-5",
                "content": [
                    {"type": "thinking", "thinking": "Lemons...", "signature": "c2ln"},
                    {"type": "text", "text": "Yellow"},
                ],
                "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {
                    "input_tokens": 25, "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 4096,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0,
                                       "ephemeral_1h_input_tokens": 0},
                    "output_tokens": 57, "service_tier": "standard",
                    "output_tokens_details": {"thinking_tokens": 41},
                },
            }),
        ),
    ]
}

#[test]
fn every_transcript_is_the_answer_it_would_have_been_however_it_is_cut() {
    for (name, dialect, expected) in golden() {
        let stream = transcripts::bytes(name);
        let whole = collect(dialect, &decode([&*stream])).unwrap();
        assert_eq!(whole, expected, "{name}");
        let bytes = collect(dialect, &decode(stream.chunks(1))).unwrap();
        assert_eq!(bytes, expected, "{name}");
        for at in 0..stream.len() {
            let (front, back) = stream.split_at(at);
            let cut = collect(dialect, &decode([front, back])).unwrap();
            assert_eq!(cut, expected, "{name} cut at {at}");
        }
    }
}

#[test]
fn the_usage_may_ride_on_the_last_chunk() {
    let answer = collect(OpenAiChat, &events("41-mistral-chat-stream.sse")).unwrap();
    assert_eq!(answer["usage"]["completion_tokens"], 9);
    assert_eq!(answer["choices"][0]["message"]["content"], "Jaune");
}

#[test]
fn a_stream_with_an_error_in_it_is_that_error() {
    for (name, dialect) in [
        ("04-openai-chat-stream-error.sse", OpenAiChat),
        ("49-openrouter-stream-error.sse", OpenAiChat),
        ("54-vllm-stream-error-then-done.sse", OpenAiChat),
        ("24-anthropic-stream-error.sse", AnthropicMessages),
        ("25-anthropic-stream-error-first.sse", AnthropicMessages),
    ] {
        let error = collect(dialect, &events(name)).unwrap_err();
        let expected = transcripts::expected(name);
        let code = error.provider_error().and_then(|error| error.code());
        assert_eq!(code, expected["error"].as_str(), "{name}");
        assert!(!error.is_truncated());
    }
}

#[test]
fn a_stream_is_an_answer_only_with_the_proof_of_its_protocol() {
    let anthropic = events("26-anthropic-stream-truncated.sse");
    assert!(
        collect(AnthropicMessages, &anthropic)
            .unwrap_err()
            .is_truncated()
    );
    for (name, dialect, _) in golden() {
        let all = events(name);
        for count in 0..all.len() - 1 {
            let error = collect(dialect, &all[..count]).unwrap_err();
            assert!(error.is_truncated(), "{name} after {count} events");
        }
    }
    // `[DONE]` alone is no proof
    let unfinished = chunks([json!({"choices": [{"index": 0, "delta": {"content": "a"}}]})]);
    assert!(collect(OpenAiChat, &unfinished).unwrap_err().is_truncated());
}

#[test]
fn what_comes_after_the_end_is_nothing() {
    let mut all = events("06-openai-chat-stream-tool-moderation.sse");
    let before = collect(OpenAiChat, &all).unwrap();
    all.extend(events("04-openai-chat-stream-error.sse"));
    assert_eq!(collect(OpenAiChat, &all).unwrap(), before);
}

fn one(delta: Value, finish: Value) -> Value {
    json!({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn message(deltas: impl IntoIterator<Item = Value>) -> Result<Value, StreamError> {
    let deltas = deltas.into_iter().map(|delta| one(delta, Value::Null));
    let all = chunks(deltas.chain([one(json!({}), json!("stop"))]));
    let answer = collect(OpenAiChat, &all)?;
    Ok(answer["choices"][0]["message"].clone())
}

#[test]
fn parallel_tool_calls_are_put_together_by_their_numbers() {
    let call = |index, rest: Value| {
        let mut call = json!({"index": index});
        call.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        json!({"tool_calls": [call]})
    };
    let start = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}});
    let more = |piece: &str| json!({"function": {"arguments": piece}});
    let message = message([
        call(1, start("b", "two")),
        call(0, start("a", "one")),
        call(1, more("{\"x\":")),
        call(0, more("{}")),
        call(1, more("1}")),
        // servers that say the id and the name again with each piece
        call(
            0,
            json!({"id": "a", "type": "function", "function": {"name": "one", "arguments": ""}}),
        ),
        call(0, json!({"id": "", "function": {"name": ""}})),
    ])
    .unwrap();
    assert_eq!(
        message["tool_calls"],
        json!([
            {"id": "b", "type": "function", "function": {"name": "two", "arguments": "{\"x\":1}"}},
            {"id": "a", "type": "function", "function": {"name": "one", "arguments": "{}"}},
        ])
    );
    assert_eq!(message["content"], Value::Null);
}

#[test]
fn reasoning_refusals_and_fields_nobody_knows_are_kept() {
    let message = message([
        json!({"role": "assistant", "content": "", "reasoning_content": "Hm"}),
        json!({"reasoning_content": "m.", "reasoning": "Hmm."}),
        json!({"refusal": "I can"}),
        json!({"refusal": "not.", "verdict": {"score": 0.25, "notes": ["a"]}}),
        json!({"verdict": {"notes": ["b"], "name": "v"}, "flag": true}),
        json!({"verdict": {"name": "v"}, "flag": false, "role": ""}),
        json!({"reasoning_details": [{"index": 0, "type": "t", "format": "f", "text": "H"}]}),
        json!({"reasoning_details": [{"index": 0, "type": "t", "format": "f", "text": "mm."}]}),
    ])
    .unwrap();
    assert_eq!(
        message,
        json!({
            "role": "assistant", "content": "", "reasoning_content": "Hmm.", "reasoning": "Hmm.",
            "refusal": "I cannot.",
            "verdict": {"score": 0.25, "notes": ["a", "b"], "name": "v"},
            "flag": false,
            "reasoning_details": [{"index": 0, "type": "t", "format": "f", "text": "Hmm."}],
        })
    );
}

#[test]
fn numbers_stay_as_they_were_written() {
    let event = |data: &str| llm_exchange::sse::Event::new(data);
    let mut collector = llm_exchange::stream::Collector::new(OpenAiChat);
    let chunk = r#"{"big":123456789012345678901234567890,"e":1.50e+2,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    for data in [chunk, "[DONE]"] {
        collector.push(&event(data)).unwrap();
    }
    let answer = collector.finish().unwrap();
    let answer = std::str::from_utf8(&answer).unwrap();
    assert!(
        answer.starts_with(r#"{"big":123456789012345678901234567890,"e":1.50e+2,"#),
        "{answer}"
    );
}

#[test]
fn probabilities_go_on_from_chunk_to_chunk() {
    let chunk = |token: &str, finish: Value| {
        json!({"choices": [{"index": 0, "delta": {"content": token}, "finish_reason": finish,
            "logprobs": {"content": [{"token": token, "logprob": -0.5}], "refusal": null}}]})
    };
    let all = chunks([chunk("a", Value::Null), chunk("b", json!("stop"))]);
    let answer = collect(OpenAiChat, &all).unwrap();
    let tokens = answer["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[1]["token"], "b");
}

fn anthropic(
    deltas: impl IntoIterator<Item = Value>,
    stop_reason: &str,
) -> Result<Value, StreamError> {
    let named = |data: Value| {
        let name = data["type"].as_str().expect("a type").to_owned();
        llm_exchange::sse::Event::named(name, data.to_string())
    };
    let start =
        json!({"type": "message_start", "message": {"id": "m", "content": [], "usage": {}}});
    let end = json!({"type": "message_delta", "delta": {"stop_reason": stop_reason}});
    let all: Vec<_> = std::iter::once(start)
        .chain(deltas)
        .chain([end, json!({"type": "message_stop"})])
        .map(named)
        .collect();
    collect(AnthropicMessages, &all).map(|answer| answer["content"].clone())
}

fn tool_use(pieces: &[&str]) -> Vec<Value> {
    let block = json!({"type": "tool_use", "id": "t", "name": "lookup", "input": {}});
    let start = json!({"type": "content_block_start", "index": 0, "content_block": block});
    let piece = |piece: &&str| {
        json!({"type": "content_block_delta", "index": 0,
               "delta": {"type": "input_json_delta", "partial_json": piece}})
    };
    std::iter::once(start)
        .chain(pieces.iter().map(piece))
        .collect()
}

#[test]
fn a_tools_input_is_the_json_that_its_pieces_make() {
    let block =
        |input: Value| json!([{"type": "tool_use", "id": "t", "name": "lookup", "input": input}]);
    let whole = tool_use(&["", "{\"q\": \"le", "mon\"}"]);
    assert_eq!(
        anthropic(whole, "tool_use").unwrap(),
        block(json!({"q": "lemon"}))
    );
    assert_eq!(
        anthropic(tool_use(&[]), "tool_use").unwrap(),
        block(json!({}))
    );
    // stopped by the cap in the middle of it
    let cut = ["{\"a\": 1, \"q\": \"le"];
    assert_eq!(
        anthropic(tool_use(&cut), "max_tokens").unwrap(),
        block(json!({"a": 1, "q": "le"}))
    );
    assert!(
        anthropic(tool_use(&cut), "tool_use")
            .unwrap_err()
            .is_unreadable()
    );
}

#[test]
fn citations_and_unknown_deltas_fill_their_block() {
    let block = json!({"type": "text", "text": "", "citations": null});
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    let content = anthropic(
        [
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
            delta(json!({"type": "text_delta", "text": "Yel"})),
            delta(json!({"type": "citations_delta", "citation": {"cited_text": "a"}})),
            delta(json!({"type": "text_delta", "text": "low"})),
            delta(json!({"type": "citations_delta", "citation": {"cited_text": "b"}})),
            delta(json!({"type": "mood_delta", "mood": "glad"})),
            json!({"type": "ping"}),
            json!({"type": "content_block_stop", "index": 0}),
        ],
        "end_turn",
    );
    assert_eq!(
        content.unwrap(),
        json!([{"type": "text", "text": "Yellow", "mood": "glad",
                "citations": [{"cited_text": "a"}, {"cited_text": "b"}]}])
    );
}
