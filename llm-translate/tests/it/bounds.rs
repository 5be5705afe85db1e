//! What a caller or a provider sends without limit.

use crate::support::{Chat, Gemini, Messages, Responses, back, refused, streamed_back};
use llm_exchange::Framing;
use llm_translate::Asked;
use serde_json::json;

/// `before` this many times, something, and `after` as many times.
fn nested(deep: usize, before: &str, inside: &str, after: &str) -> String {
    [&before.repeat(deep), inside, &after.repeat(deep)].concat()
}

#[test]
fn a_tools_result_has_no_blocks_with_blocks_of_their_own() {
    let deep = nested(
        100_000,
        r#"{"type":"tool_result","tool_use_id":"t","content":["#,
        r#"{"type":"text","text":"hi"}"#,
        "]}",
    );
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{deep}]}}]}}"#
    );
    for target in [Chat, Gemini] {
        let refused = Asked::new(Messages, body.as_bytes()).translate(target);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "`messages[0].content[0].content[0].type` cannot be carried over"
        );
    }
    for kind in ["tool_use", "thinking", "redacted_thinking", "document"] {
        let block = json!({"type": kind, "id": "t", "name": "n", "input": {}});
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": [block]});
        let request = json!({"model": "m", "max_tokens": 9,
            "messages": [{"role": "user", "content": [result]}]});
        assert_eq!(
            refused(Messages, Chat, &request),
            "`messages[0].content[0].content[0].type` cannot be carried over"
        );
    }
}

#[test]
fn however_deep_what_is_passed_on_or_refused_is_not_descended_into() {
    let list = nested(100_000, "[", "", "]");
    let schema = nested(
        10_000,
        r#"{"type":"ARRAY","items":"#,
        r#"{"type":"STRING"}"#,
        "}",
    );
    let gemini = |what: &str| format!(r#"{{"contents":[{{"parts":[{{"text":"hi"}}]}}],{what}}}"#);
    for (from, body) in [
        (Chat, format!(r#"{{"model":"m","messages":{list}}}"#)),
        (
            Chat,
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":{list}}}]}}"#),
        ),
        (Responses, format!(r#"{{"model":"m","input":{list}}}"#)),
        (
            Messages,
            format!(r#"{{"model":"m","max_tokens":9,"messages":[],"system":{list}}}"#),
        ),
        (Gemini, format!(r#"{{"contents":{list}}}"#)),
        (
            Gemini,
            gemini(&format!(
                r#""generationConfig":{{"responseSchema":{schema},"responseMimeType":"application/json"}}"#
            )),
        ),
        (
            Gemini,
            gemini(&format!(
                r#""tools":[{{"functionDeclarations":[{{"name":"n","parameters":{schema}}}]}}]"#
            )),
        ),
    ] {
        let target = if from == Messages { Chat } else { Messages };
        let asked = Asked::new(from, body.as_bytes()).model("m");
        assert!(asked.translate(target).is_err());
    }
    // a schema of JSON Schema's goes on as it is
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],
            "tools":[{{"type":"function","function":{{"name":"n","parameters":{schema}}}}}]}}"#
    );
    let asked = Asked::new(Chat, body.as_bytes());
    let there = asked.translate(Messages).unwrap();
    assert!(String::from_utf8_lossy(there.body()).contains(&*schema));
}

#[test]
fn an_answer_has_no_more_choices_than_a_call_can_ask_for() {
    let chunk = |choice: u64| {
        let choice = json!({"index": choice, "delta": {"content": "a"}, "finish_reason": null});
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1,
            "model": "m", "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    for caller in [Messages, Gemini, Responses] {
        let mut translator = streamed_back(caller, Chat).stream(Framing::Sse);
        let _ = translator.push(chunk(0).into());
        let last = translator.push(chunk(128).into());
        assert!(translator.is_over());
        let last = String::from_utf8_lossy(&last).into_owned();
        assert!(last.contains("a choice numbered above 127"), "{last}");
    }
    let candidates = |count: u64| {
        let candidates: Vec<_> = (0..count)
            .map(|index| {
                json!({"index": index, "finishReason": "STOP",
                    "content": {"role": "model", "parts": [{"text": "a"}]}})
            })
            .collect();
        json!({"candidates": candidates, "responseId": "r", "modelVersion": "m"}).to_string()
    };
    let whole = back(Chat, Gemini);
    assert!(whole.answer(candidates(128).as_bytes()).is_ok());
    let error = whole.answer(candidates(129).as_bytes()).unwrap_err();
    let body = String::from_utf8(error.body(Some(Chat)).to_vec()).unwrap();
    assert!(body.contains("too_many_choices"), "{body}");
    let mut translator = streamed_back(Chat, Gemini).stream(Framing::Sse);
    let all = translator.push(format!("data: {}\n\n", candidates(4_000)).into());
    assert!(all.len() < 200_000 && translator.is_over());
}
