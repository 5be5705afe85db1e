//! Whole answers and errors, on their way to the caller.

use http::StatusCode;
use llm_exchange::{Framing, ProviderError};
use serde_json::{Value, json};

use crate::{
    support::{Chat, Gemini, Messages, answer, back, stream, streamed_back},
    transcripts,
};

#[test]
fn an_anthropic_message_becomes_a_chat_completion() {
    let message = transcripts::bytes("22-anthropic-response.json");
    let expected = transcripts::expected("22-anthropic-response.json");
    let chat = answer(&back(Chat, Messages), &message);
    assert_eq!(
        chat,
        json!({
            "id": "msg_22",
            "object": "chat.completion",
            "created": 1_795_428_000,
            "model": "claude-opus-5-5",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": "Yellow", "refusal": null,
                    "reasoning_content": "short"},
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": 10050,
                "completion_tokens": 120,
                "total_tokens": 10170,
                "prompt_tokens_details":
                    {"cached_tokens": 7000, "cache_write_tokens": 3000, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 90, "audio_tokens": 0},
            },
        })
    );
    assert_eq!(chat["usage"]["prompt_tokens"], expected["input"]);
    assert_eq!(chat["usage"]["completion_tokens"], expected["output"]);
}

#[test]
fn a_chat_completion_becomes_an_anthropic_message() {
    let chat = transcripts::bytes("02-openai-chat-response.json");
    assert_eq!(
        answer(&back(Messages, Chat), &chat),
        json!({
            "id": "chatcmpl-x02",
            "type": "message",
            "role": "assistant",
            "model": "gpt-6-sol-2026-09-22",
            "content": [{"type": "text", "text": "Yellow"}],
            "stop_reason": "end_turn",
            "stop_sequence": null,
            "usage": {
                "input_tokens": 208,
                "cache_creation_input_tokens": 896,
                "cache_read_input_tokens": 4096,
                "cache_creation":
                    {"ephemeral_5m_input_tokens": 896, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 310,
                "output_tokens_details": {"thinking_tokens": 256},
            },
        })
    );
}

fn chat_answer(message: Value, finish: &str) -> Vec<u8> {
    let choice = json!({"index": 0, "message": message, "finish_reason": finish});
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})
        .to_string()
        .into()
}

fn message_answer(content: Value, reason: &str) -> Vec<u8> {
    json!({"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": reason, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2}})
    .to_string()
    .into()
}

#[test]
fn calls_of_tools_are_called_on_either_side() {
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "call_1", "type": "function",
            "function": {"name": "lookup", "arguments": "{\"q\": \"lemon\"}"}},
        {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}},
    ]});
    let message = answer(&back(Messages, Chat), &chat_answer(calls, "tool_calls"));
    assert_eq!(
        message["content"],
        json!([
            {"type": "tool_use", "id": "call_1", "name": "lookup", "input": {"q": "lemon"}},
            {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
        ])
    );
    assert_eq!(message["stop_reason"], "tool_use");
    let chat = answer(
        &back(Chat, Messages),
        &message_answer(
            json!([
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "lookup", "input": {"q": "lemon"}},
                {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
            ]),
            "tool_use",
        ),
    );
    let message = &chat["choices"][0]["message"];
    assert_eq!(message["content"], "I look.");
    assert_eq!(message["tool_calls"][0]["id"], "toolu_1");
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        r#"{"q":"lemon"}"#
    );
    assert_eq!(message["tool_calls"][1]["function"]["name"], "now");
    assert_eq!(chat["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn every_reason_to_end_has_its_word() {
    let text = json!([{"type": "text", "text": "a"}]);
    for (anthropic, openai) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
    ] {
        let chat = answer(
            &back(Chat, Messages),
            &message_answer(text.clone(), anthropic),
        );
        assert_eq!(chat["choices"][0]["finish_reason"], openai, "{anthropic}");
    }
    let said = json!({"role": "assistant", "content": "a"});
    for (openai, anthropic) in [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
    ] {
        let message = answer(&back(Messages, Chat), &chat_answer(said.clone(), openai));
        assert_eq!(message["stop_reason"], anthropic, "{openai}");
    }
}

#[test]
fn a_refusal_is_one_on_either_side() {
    let refusal = json!({"role": "assistant", "content": null, "refusal": "I cannot."});
    let message = answer(&back(Messages, Chat), &chat_answer(refusal, "stop"));
    assert_eq!(
        message["content"],
        json!([{"type": "text", "text": "I cannot."}])
    );
    assert_eq!(message["stop_reason"], "refusal");
}

#[test]
fn an_answer_that_is_none_is_an_error_of_the_callers_dialect() {
    let error = |body: &[u8]| back(Messages, Chat).answer(body).unwrap_err();
    let parse = |body: bytes::Bytes| -> Value { serde_json::from_slice(&body).unwrap() };
    let page = error(b"<html>").body(Some(Messages));
    assert_eq!(parse(page)["type"], "error");
    // OpenRouter's 200
    let body = transcripts::http("50-openrouter-200-error.http").body;
    let answer = error(&body).into_response::<http_body_util::Empty<bytes::Bytes>>(Some(Messages));
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    // it ended for a reason that is no end of an answer
    let said = json!({"role": "assistant", "content": "a"});
    let failed = error(&chat_answer(said, "error")).body(Some(Messages));
    assert_eq!(
        parse(failed)["error"]["details"]["error_code"],
        "failed_answer"
    );
    let arguments = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1]"}}]});
    let invalid = error(&chat_answer(arguments, "tool_calls")).body(Some(Messages));
    assert_eq!(
        parse(invalid)["error"]["details"]["error_code"],
        "invalid_arguments"
    );
}

#[test]
fn a_providers_error_keeps_its_code_and_its_words() {
    for (name, target, caller, kind) in [
        (
            "11-openai-429-rate-limit.http",
            Chat,
            Messages,
            "rate_limit_error",
        ),
        (
            "14-openai-400-context-length.http",
            Chat,
            Messages,
            "invalid_request_error",
        ),
        (
            "29-anthropic-429-rate-limit.http",
            Messages,
            Chat,
            "rate_limit_error",
        ),
        (
            "31-anthropic-529-overloaded.http",
            Messages,
            Chat,
            "server_error",
        ),
    ] {
        let answered = transcripts::http(name);
        let error = ProviderError::from_body(&answered.body).unwrap();
        let answer = back(caller, target).error(answered.status, &error);
        let body: Value = serde_json::from_slice(&answer.body(Some(caller))).unwrap();
        assert_eq!(body["error"]["type"], kind, "{name}");
        assert_eq!(body["error"]["message"], error.message().unwrap(), "{name}");
        let again = ProviderError::from_body(&answer.body(Some(caller))).unwrap();
        assert_eq!(again.code(), error.code(), "{name}");
        let response = answer.into_response::<http_body_util::Empty<bytes::Bytes>>(Some(caller));
        assert_eq!(response.status(), answered.status, "{name}");
    }
}

#[test]
fn an_image_or_a_sound_is_no_empty_answer() {
    let image = json!({"inlineData": {"mimeType": "image/png", "data": "aGk="}});
    let parts = |parts: Value| {
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
            "responseId": "r", "modelVersion": "m"})
    };
    let sound = |at: &str| {
        json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop",
                at: {"role": "assistant", "content": null, "audio": {"id": "a", "data": "aGk="}}}]})
    };
    for (caller, target, whole, event) in [
        (Chat, Gemini, parts(json!([image])), parts(json!([image]))),
        (
            Messages,
            Gemini,
            parts(json!([{"text": "See"}, image])),
            parts(json!([image])),
        ),
        (Messages, Chat, sound("message"), sound("delta")),
    ] {
        let error = back(caller, target)
            .answer(whole.to_string().as_bytes())
            .unwrap_err();
        let body = String::from_utf8(error.body(Some(caller)).to_vec()).unwrap();
        assert!(body.contains("an image, a sound or a file"), "{body}");
        let event = format!("data: {event}\n\n");
        let back = streamed_back(caller, target);
        let all = stream(&back, Framing::Sse, [event.as_bytes()]);
        let all = String::from_utf8(all).unwrap();
        assert!(all.contains("an image, a sound or a file"), "{all}");
        assert!(
            !all.contains("\"stop\"") && !all.contains("message_stop"),
            "{all}"
        );
    }
    // what only speaks of one, or has none
    let said = parts(json!([{"text": r#"{"inlineData": 1} audio"#}]));
    assert!(
        back(Chat, Gemini)
            .answer(said.to_string().as_bytes())
            .is_ok()
    );
    let mut none = sound("message");
    none["choices"][0]["message"]["audio"] = Value::Null;
    assert!(
        back(Messages, Chat)
            .answer(none.to_string().as_bytes())
            .is_ok()
    );
}
