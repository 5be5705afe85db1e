//! OpenAI responses as the caller's dialect.

use llm_exchange::Framing;
use serde_json::{Value, json};

use crate::{
    support::{
        Chat, Gemini, Messages, Responses, answer, back, jsons, request, smallest, stream,
        streamed_back, translated, way_back, with,
    },
    transcripts,
};

fn asked() -> Value {
    json!({
        "model": "gpt-6-sol",
        "instructions": "Be exact.",
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xx"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "lookup",
                "arguments": "{\"q\":\"lemon\"}", "status": "completed"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a fruit"},
            {"role": "user", "content": "So?"},
        ],
        "tools": [{"type": "function", "name": "lookup", "description": "Looks up.",
            "parameters": {"type": "object"}, "strict": true}],
        "tool_choice": "required",
        "parallel_tool_calls": true,
        "max_output_tokens": 77,
        "temperature": 0.3,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "fruit", "schema": {"type": "object"},
            "strict": true}},
        "include": ["reasoning.encrypted_content"],
        "store": false,
    })
}

#[test]
fn a_response_is_asked_of_anthropic() {
    assert_eq!(
        request(Responses, Messages, &asked()),
        json!({
            "model": "gpt-6-sol",
            "max_tokens": 77,
            "system": "Be exact.",
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source":
                        {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                ]},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "call_1", "name": "lookup", "input": {"q": "lemon"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "a fruit"},
                    {"type": "text", "text": "So?"},
                ]},
            ],
            "temperature": 0.3,
            "tools": [{"name": "lookup", "description": "Looks up.",
                "input_schema": {"type": "object"}, "strict": true}],
            "tool_choice": {"type": "any"},
            "output_config": {"effort": "low",
                "format": {"type": "json_schema", "schema": {"type": "object"}}},
        })
    );
    let translated = translated(Responses, Messages, &asked()).unwrap();
    assert_eq!(
        translated.left_out(),
        ["reasoning.summary", "store", "include", "input.reasoning"]
    );
}

#[test]
fn a_response_is_asked_of_a_server_of_chat_completions() {
    let chat = request(Responses, Chat, &asked());
    assert_eq!(chat["messages"].as_array().unwrap().len(), 5);
    assert_eq!(chat["messages"][2]["tool_calls"][0]["id"], "call_1");
    assert_eq!(chat["tools"][0]["function"]["strict"], true);
    assert_eq!(chat["response_format"]["json_schema"]["name"], "fruit");
    assert_eq!(chat["reasoning_effort"], "low");
    request(
        Responses,
        Gemini,
        &with(asked(), json!({"parallel_tool_calls": null})),
    );
}

#[test]
fn what_needs_the_providers_memory_is_named() {
    for (fields, field) in [
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_id",
        ),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"background": true}), "background"),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (
            json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
            "input[0].type",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}),
            "input[0].content[0].type",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}),
            "input[0].content[0].image_url",
        ),
        (
            json!({"include": ["message.output_text.logprobs"]}),
            "include[0]",
        ),
        (json!({"max_tool_calls": 3}), "max_tool_calls"),
    ] {
        let error =
            translated(Responses, Messages, &with(smallest(Responses), fields)).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
    }
}

#[test]
fn an_anthropic_message_becomes_a_response() {
    let back = way_back(Responses, Messages, &asked());
    let response = answer(&back, &transcripts::bytes("22-anthropic-response.json"));
    assert_eq!(
        response,
        json!({
            "id": "msg_22",
            "object": "response",
            "created_at": 1_795_428_000,
            "status": "completed",
            "error": null,
            "incomplete_details": null,
            "model": "claude-opus-5-5",
            "output": [{"id": "item_msg_22_0", "type": "message", "status": "completed",
                "role": "assistant", "content": [
                    {"type": "output_text", "text": "Yellow", "annotations": [], "logprobs": []}]}],
            "parallel_tool_calls": true,
            "tool_choice": "required",
            "tools": asked()["tools"],
            "usage": {
                "input_tokens": 10050,
                "input_tokens_details": {"cached_tokens": 7000, "cache_write_tokens": 3000,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 1000, "ttl_12h_tokens": 2000}},
                "output_tokens": 120,
                "output_tokens_details": {"reasoning_tokens": 90},
                "total_tokens": 10170,
            },
        })
    );
}

#[test]
fn an_answer_that_is_not_whole_says_why() {
    let message = |reason: &str| {
        json!({"id": "m", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "a"}], "stop_reason": reason,
            "usage": {"input_tokens": 1, "output_tokens": 1}})
        .to_string()
    };
    for (reason, why) in [
        ("max_tokens", "max_output_tokens"),
        ("refusal", "content_filter"),
    ] {
        let response = answer(&back(Responses, Messages), message(reason).as_bytes());
        assert_eq!(response["status"], "incomplete");
        assert_eq!(response["incomplete_details"]["reason"], why);
    }
}

#[test]
fn the_error_that_ends_a_stream_is_numbered_like_its_events() {
    let all = transcripts::bytes("04-openai-chat-stream-error.sse");
    let events = jsons(&stream(
        &streamed_back(Responses, Chat),
        Framing::Sse,
        [&*all],
    ));
    assert_eq!(events.last().unwrap()["type"], "error");
    assert!(events.len() > 2);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
    }
}

#[test]
fn a_stream_is_told_item_by_item() {
    let all = transcripts::bytes("06-openai-chat-stream-tool-moderation.sse");
    let events = jsons(&stream(
        &streamed_back(Responses, Chat),
        Framing::Sse,
        [&*all],
    ));
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let last = &events[7]["response"];
    assert_eq!(last["output"][0]["arguments"], "{\"q\":\"lemon\"}");
    assert_eq!(last["output"][0], events[6]["item"]);

    let all = transcripts::bytes("23-anthropic-stream.sse");
    let events = jsons(&stream(
        &streamed_back(Responses, Messages),
        Framing::Sse,
        [&*all],
    ));
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds[2..],
        [
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(
        events.last().unwrap()["response"]["usage"]["output_tokens"],
        57
    );
}

#[test]
fn a_stream_that_fails_ends_in_an_error() {
    for name in [
        "24-anthropic-stream-error.sse",
        "26-anthropic-stream-truncated.sse",
    ] {
        let all = transcripts::bytes(name);
        let events = jsons(&stream(
            &streamed_back(Responses, Messages),
            Framing::Sse,
            [&*all],
        ));
        assert_eq!(events.last().unwrap()["type"], "error", "{name}");
    }
}
