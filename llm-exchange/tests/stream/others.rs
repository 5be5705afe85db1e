//! Answers of the dialects beside chat completions and messages, put together and taken apart.

use llm_exchange::{Dialect, stream::expand};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use crate::support::{collect, deltas, named};

fn survives(dialect: Dialect, answer: &Value) {
    let events = expand(dialect, answer.to_string().as_bytes(), true).expect("an answer");
    assert_eq!(collect(dialect, &events).expect("a stream"), *answer);
    let (_, whole) = deltas(dialect, &events);
    whole.expect("a whole stream");
}

#[test]
fn a_response_that_our_limit_cut_is_what_came_of_it() {
    let event = |kind: &str, fields: Value| named(&format!("response.{kind}"), fields);
    let at = |index: u64, fields: Value| {
        let mut all = json!({"output_index": index});
        let all_fields = all.as_object_mut().unwrap();
        all_fields.extend(fields.as_object().unwrap().clone());
        all
    };
    let item = |item: Value| json!({ "item": item });
    let events = [
        event(
            "created",
            json!({"response": {"id": "r", "status": "in_progress"}}),
        ),
        event(
            "output_item.added",
            at(0, item(json!({"type": "reasoning", "summary": []}))),
        ),
        event(
            "reasoning_summary_part.added",
            at(
                0,
                json!({"summary_index": 0,
            "part": {"type": "summary_text", "text": ""}}),
            ),
        ),
        event(
            "reasoning_summary_text.delta",
            at(0, json!({"summary_index": 0, "delta": "Hm"})),
        ),
        event(
            "output_item.done",
            at(
                0,
                item(json!({"type": "reasoning", "summary": [
            {"type": "summary_text", "text": "Hm, well"}]})),
            ),
        ),
        event(
            "output_item.added",
            at(
                1,
                item(json!({"type": "message", "status": "in_progress",
            "content": []})),
            ),
        ),
        event(
            "content_part.added",
            at(
                1,
                json!({"content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": []}}),
            ),
        ),
        event(
            "output_text.delta",
            at(1, json!({"content_index": 0, "delta": "Le"})),
        ),
        event(
            "output_text.delta",
            at(1, json!({"content_index": 0, "delta": "mon"})),
        ),
        event(
            "output_item.added",
            at(
                2,
                item(json!({"type": "function_call", "name": "f",
            "arguments": ""})),
            ),
        ),
        event(
            "function_call_arguments.delta",
            at(2, json!({"delta": "{\"a\""})),
        ),
        event(
            "incomplete",
            json!({"response": {"id": "r", "status": "incomplete", "output": [],
            "incomplete_details": {"reason": "max_output_tokens"}}}),
        ),
    ];
    let answer = collect(Dialect::OpenAiResponses, &events).unwrap();
    assert_eq!(
        answer["output"],
        json!([
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm, well"}]},
            {"type": "message", "status": "incomplete",
                "content": [{"type": "output_text", "text": "Lemon", "annotations": []}]},
            {"type": "function_call", "name": "f", "arguments": "{\"a\""},
        ])
    );
}

#[test]
fn gemini_texts_grow_and_what_is_signed_stays_apart() {
    let chunk = |parts: Value| {
        let chunk = json!({"candidates": [{"content": {"role": "model", "parts": parts}}]});
        llm_exchange::sse::Event::new(chunk.to_string())
    };
    let end = json!({"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}],
        "usageMetadata": {"totalTokenCount": 3}});
    let events = [
        chunk(json!([{"text": "Hm", "thought": true}])),
        chunk(json!([{"text": ", well", "thought": true}])),
        chunk(json!([{"text": "Le"}])),
        chunk(
            json!([{"text": "mon"}, {"functionCall": {"name": "f", "args": {}},
            "thoughtSignature": "s"}]),
        ),
        llm_exchange::sse::Event::new(end.to_string()),
    ];
    let answer = collect(Dialect::Gemini, &events).unwrap();
    assert_eq!(
        answer,
        json!({"candidates": [{"finishReason": "STOP", "content": {"role": "model", "parts": [
            {"text": "Hm, well", "thought": true},
            {"text": "Lemon"},
            {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s"},
        ]}}], "usageMetadata": {"totalTokenCount": 3}})
    );
    survives(Dialect::Gemini, &answer);
}

#[test]
fn a_tool_call_of_converse_that_was_cut_has_the_input_that_came() {
    let event = |json: Value| llm_exchange::sse::Event::new(json.to_string());
    let events = [
        event(json!({"role": "assistant"})),
        event(json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm"}}})),
        event(json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "s"}}})),
        event(json!({"contentBlockIndex": 0})),
        event(
            json!({"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
        ),
        event(
            json!({"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{\"a\":"}}, "p": "abc"}),
        ),
        event(json!({"contentBlockIndex": 1, "delta": {"toolUse": {"input": "[1,2"}}})),
        event(json!({"stopReason": "max_tokens"})),
        event(json!({"usage": {"inputTokens": 1, "outputTokens": 2}, "p": "ab"})),
    ];
    let answer = collect(Dialect::BedrockConverse, &events).unwrap();
    assert_eq!(
        answer,
        json!({
            "output": {"message": {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}},
                {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": [1]}}},
            ]}},
            "stopReason": "max_tokens",
            "usage": {"inputTokens": 1, "outputTokens": 2},
        })
    );
    survives(Dialect::BedrockConverse, &answer);
}

#[test]
fn ollamas_two_calls_are_put_together_alike() {
    let chat = json!({"model": "m", "created_at": "t", "done": true, "done_reason": "stop",
        "eval_count": 4, "message": {"role": "assistant", "content": "Lemon", "thinking": "Hm",
        "tool_calls": [{"function": {"name": "f", "arguments": {}}},
            {"function": {"name": "g", "arguments": {"a": 1}}}]}});
    survives(Dialect::Ollama, &chat);
    survives(
        Dialect::Ollama,
        &json!({"model": "m", "response": "Lemon", "thinking": "Hm", "done": true,
            "done_reason": "length", "context": [1, 2]}),
    );
    let unloaded = json!({"model": "m", "response": "", "done": true, "done_reason": "unload"});
    survives(Dialect::Ollama, &unloaded);
}

#[test]
fn what_is_no_answer_is_not_taken_apart() {
    for (dialect, json) in [
        (
            Dialect::OpenAiResponses,
            r#"{"status":"failed","output":[],"error":{}}"#,
        ),
        (
            Dialect::OpenAiResponses,
            r#"{"status":"queued","output":[]}"#,
        ),
        (Dialect::OpenAiCompletions, r#"{"error":{"message":"no"}}"#),
        (Dialect::Gemini, r#"{"error":{"code":429}}"#),
        (Dialect::Gemini, r#"{}"#),
        (Dialect::Ollama, r#"{"error":"no"}"#),
        (Dialect::BedrockConverse, r#"{"message":"no"}"#),
    ] {
        let refused = expand(dialect, json.as_bytes(), true).unwrap_err();
        assert!(refused.is_unreadable(), "{dialect:?} {json}");
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-z \u{e9}\u{2028}\u{1f600}\"\\\\\n]{1,12}"
}

fn args() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        text().prop_map(|text| json!({ "q": [text, 1.50] }))
    ]
}

proptest! {
    #[test]
    fn completions_survive(texts in vec(text(), 1..4)) {
        let choices = texts.iter().enumerate().map(|(index, text)| json!({
            "index": index, "text": text, "logprobs": null, "finish_reason": "stop"}));
        let answer = json!({"id": "c", "object": "text_completion", "created": 1, "model": "m",
            "choices": choices.collect::<Vec<_>>(), "usage": {"prompt_tokens": 1}});
        survives(Dialect::OpenAiCompletions, &answer);
    }

    #[test]
    fn responses_survive(texts in vec(text(), 0..3), tools in vec(args(), 0..3), whole: bool) {
        let parts = texts.iter().map(|text| json!({"type": "output_text", "text": text,
            "annotations": []}));
        let mut output = vec![
            json!({"id": "rs", "type": "reasoning", "summary": [
                {"type": "summary_text", "text": "Hm"}]}),
            json!({"id": "m", "type": "message", "status": "completed", "role": "assistant",
                "content": parts.collect::<Vec<_>>()}),
        ];
        output.extend(tools.iter().map(|args| json!({"id": "f", "type": "function_call",
            "status": "completed", "call_id": "c", "name": "f", "arguments": args.to_string()})));
        let status = if whole { "completed" } else { "incomplete" };
        let details = if whole { Value::Null } else { json!({"reason": "max_output_tokens"}) };
        let answer = json!({"id": "r", "object": "response", "status": status, "error": null,
            "incomplete_details": details, "model": "m", "output": output,
            "usage": {"input_tokens": 1, "output_tokens": 2}});
        survives(Dialect::OpenAiResponses, &answer);
        // and where the last event does not say the output again
        let mut events = expand(Dialect::OpenAiResponses, answer.to_string().as_bytes(), true).unwrap();
        events.pop();
        let mut last = answer.clone();
        last["output"] = json!([]);
        events.push(named(&format!("response.{status}"), json!({"response": last})));
        prop_assert_eq!(collect(Dialect::OpenAiResponses, &events).unwrap(), answer);
    }

    #[test]
    fn geminis_candidates_survive(candidates in vec((vec((text(), any::<bool>()), 1..4), args()), 1..3)) {
        let candidates = candidates.iter().enumerate().map(|(index, (texts, args))| {
            // two of a kind in a row would be one
            let mut parts: Vec<_> = texts.iter().enumerate().map(|(at, (text, _))| match at % 2 {
                0 => json!({"text": text, "thought": true}),
                _ => json!({"text": text}),
            }).collect();
            parts.push(json!({"functionCall": {"name": "f", "args": args}}));
            json!({"index": index, "content": {"role": "model", "parts": parts},
                "finishReason": "STOP", "avgLogprobs": -0.5})
        });
        let answer = json!({"candidates": candidates.collect::<Vec<_>>(), "modelVersion": "m",
            "responseId": "r", "usageMetadata": {"totalTokenCount": 3}});
        survives(Dialect::Gemini, &answer);
    }

    #[test]
    fn converses_blocks_survive(texts in vec(text(), 0..3), tools in vec(args(), 0..3)) {
        let mut content: Vec<_> = texts.iter().map(|text| json!({ "text": text })).collect();
        content.extend(tools.iter().map(|args| json!({"toolUse": {"toolUseId": "t", "name": "f",
            "input": args}})));
        content.push(json!({"citationsContent": {"content": [{"text": "x"}], "citations": [
            {"title": "t"}]}}));
        let answer = json!({"output": {"message": {"role": "assistant", "content": content}},
            "stopReason": "tool_use", "usage": {"inputTokens": 1, "outputTokens": 2},
            "metrics": {"latencyMs": 3}});
        survives(Dialect::BedrockConverse, &answer);
    }
}
