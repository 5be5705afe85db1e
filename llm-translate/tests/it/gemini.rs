//! Gemini as a target and as a caller.

use llm_exchange::Framing;
use llm_translate::{Asked, Back};
use serde_json::{Value, json};

use crate::{
    support::{
        Chat, Gemini, Messages, answer, back, datas, jsons, refused, request, smallest, stream,
        streamed_back, translated, with,
    },
    transcripts,
};

fn chat_with_tools() -> Value {
    json!({
        "model": "gemini/3", "max_completion_tokens": 77, "n": 2,
        "messages": [
            {"role": "system", "content": "Be exact."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ]},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "call_1", "type": "function",
                    "function": {"name": "lookup", "arguments": "{\"q\":\"lemon\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a fruit"},
            {"role": "user", "content": "So?"},
        ],
        "tools": [{"type": "function", "function": {"name": "lookup", "description": "Looks up.",
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}}],
        "tool_choice": {"type": "function", "function": {"name": "lookup"}},
        "temperature": 0.3, "top_p": 0.9, "seed": 7, "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "stop": ["###", "END"],
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema":
            {"name": "answer", "schema": {"type": "object"}}},
    })
}

fn gemini_with_tools() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "Be exact."}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "What is this?"},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
            ]},
            {"role": "model", "parts": [
                {"text": "I look."},
                {"functionCall": {"id": "call_1", "name": "lookup", "args": {"q": "lemon"}},
                    "thoughtSignature": "skip_thought_signature_validator"},
            ]},
            {"role": "user", "parts": [
                {"functionResponse":
                    {"id": "call_1", "name": "lookup", "response": {"output": "a fruit"}}},
                {"text": "So?"},
            ]},
        ],
        "tools": [{"functionDeclarations": [{"name": "lookup", "description": "Looks up.",
            "parametersJsonSchema": {"type": "object", "properties": {"q": {"type": "string"}}}}]}],
        "toolConfig": {"functionCallingConfig":
            {"mode": "ANY", "allowedFunctionNames": ["lookup"]}},
        "generationConfig": {
            "temperature": 0.3, "topP": 0.9, "seed": 7, "presencePenalty": 0.5,
            "frequencyPenalty": -0.5, "candidateCount": 2, "maxOutputTokens": 77,
            "stopSequences": ["###", "END"],
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingLevel": "LOW"},
        },
    })
}

#[test]
fn a_chat_becomes_gemini_s_and_the_reverse() {
    assert_eq!(
        request(Chat, Gemini, &chat_with_tools()),
        gemini_with_tools()
    );
    let there = translated(Chat, Gemini, &chat_with_tools()).unwrap();
    assert_eq!(there.path(), "/v1beta/models/gemini%2F3:generateContent");
    let back = request(Gemini, Chat, &gemini_with_tools());
    assert_eq!(back, with(chat_with_tools(), json!({"model": "m"})));
}

#[test]
fn a_stream_is_asked_for_in_the_path() {
    let asked = with(smallest(Chat), json!({"stream": true}));
    let there = translated(Chat, Gemini, &asked).unwrap();
    assert_eq!(
        there.path(),
        "/v1beta/models/m:streamGenerateContent?alt=sse"
    );
    let body = smallest(Gemini).to_string();
    let asked = Asked::new(Gemini, body.as_bytes())
        .model("m")
        .stream(Framing::Array);
    let sent: Value = serde_json::from_slice(asked.translate(Chat).unwrap().body()).unwrap();
    assert_eq!(sent["stream"], true);
}

#[test]
fn snake_case_and_what_people_leave_away_is_understood() {
    let asked = json!({
        "system_instruction": {"parts": {"text": "Be exact."}},
        "contents": [{"parts": [{"text": "hi"}]}],
        "generation_config": {"max_output_tokens": 5, "response_mime_type": "application/json"},
    });
    assert_eq!(
        request(Gemini, Chat, &asked),
        json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be exact."}, {"role": "user", "content": "hi"},
            ],
            "max_completion_tokens": 5,
            "response_format": {"type": "json_object"},
        })
    );
}

#[test]
fn calls_without_an_id_are_matched_by_name_and_order() {
    let call = |q: &str| json!({"functionCall": {"name": "lookup", "args": {"q": q}}});
    let result =
        |said: &str| json!({"functionResponse": {"name": "lookup", "response": {"output": said}}});
    let asked = with(
        smallest(Gemini),
        json!({"contents": [
            {"role": "user", "parts": [{"text": "both"}]},
            {"role": "model", "parts": [call("a"), call("b")]},
            {"role": "user", "parts": [result("A"), result("B")]},
        ]}),
    );
    let messages = request(Gemini, Messages, &asked);
    let calls = messages["messages"][1]["content"].as_array().unwrap();
    let results = messages["messages"][2]["content"].as_array().unwrap();
    for (call, result) in calls.iter().zip(results) {
        assert_eq!(call["id"], result["tool_use_id"]);
    }
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert_eq!(results[1]["content"], "B");
    let orphan = with(
        smallest(Gemini),
        json!({"contents": [{"parts": [result("A")]}]}),
    );
    assert_eq!(
        refused(Gemini, Chat, &orphan),
        "`contents[0].parts[0].functionResponse.name` is not valid: no call of it stands before"
    );
}

#[test]
fn a_schema_of_googles_becomes_json_schema() {
    let asked = r#"{"contents":[{"parts":[{"text":"hi"}]}],"tools":[{"functionDeclarations":[{"name":"f",
        "parameters":{"type":"OBJECT","properties":{
            "z":{"type":"STRING","nullable":true,"enum":["a","b"]},
            "list":{"type":"ARRAY","items":{"type":"INTEGER"},"minItems":"2"},
            "any_of":{"anyOf":[{"type":"NUMBER"},{"type":"BOOLEAN"}]}},
            "required":["z"],"propertyOrdering":["list","z"]}}]}]}"#;
    let translated = Asked::new(Gemini, asked.as_bytes())
        .model("m")
        .translate(Chat)
        .unwrap();
    let text = std::str::from_utf8(translated.body()).unwrap();
    let expected = r#""parameters":{"type":"object","properties":{"z":{"type":["string","null"],"enum":["a","b",null]},"list":{"type":"array","items":{"type":"integer"},"minItems":2},"any_of":{"anyOf":[{"type":"number"},{"type":"boolean"}]}},"required":["z"]}"#;
    assert!(text.contains(expected), "{text}");
}

#[test]
fn thinking_has_budgets_and_levels() {
    let config = |fields| {
        let asked = with(smallest(Messages), fields);
        request(Messages, Gemini, &asked)["generationConfig"]["thinkingConfig"].clone()
    };
    assert_eq!(
        config(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})),
        json!({"includeThoughts": true, "thinkingBudget": 2000})
    );
    assert_eq!(
        config(json!({"thinking": {"type": "disabled"}})),
        json!({"includeThoughts": false, "thinkingBudget": 0})
    );
    assert_eq!(
        config(json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}})),
        json!({"includeThoughts": true, "thinkingLevel": "HIGH"})
    );
    let asked = with(
        smallest(Gemini),
        json!({"generationConfig": {"thinkingConfig":
        {"thinkingBudget": -1, "includeThoughts": true}}}),
    );
    assert_eq!(
        request(Gemini, Messages, &asked)["thinking"],
        json!({"type": "adaptive"})
    );
}

#[test]
fn what_the_other_side_lacks_is_named() {
    for (fields, field) in [
        (
            json!({"tools": [{"googleSearch": {}}]}),
            "tools[0].googleSearch",
        ),
        (
            json!({"cachedContent": "cachedContents/1"}),
            "cachedContent",
        ),
        (
            json!({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT"}]}),
            "safetySettings",
        ),
        (
            json!({"generationConfig": {"topK": 4}}),
            "generationConfig.topK",
        ),
        (
            json!({"generationConfig": {"responseModalities": ["IMAGE"]}}),
            "generationConfig.responseModalities",
        ),
        (
            json!({"generationConfig": {"speechConfig": {}}}),
            "generationConfig.speechConfig",
        ),
        (
            json!({"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "AA"}}]}]}),
            "contents[0].parts[0].inlineData.mimeType",
        ),
        (
            json!({"contents": [{"parts": [{"fileData": {"mimeType": "image/png", "fileUri": "gs://a/b"}}]}]}),
            "contents[0].parts[0].fileData.fileUri",
        ),
        (
            json!({"contents": [{"role": "model", "parts": [{"text": "Once"}]}]}),
            "contents[0]",
        ),
    ] {
        let error = translated(Gemini, Chat, &with(smallest(Gemini), fields)).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
    }
    for (fields, field) in [
        (
            json!({"parallel_tool_calls": false, "tools": [{"type": "function",
            "function": {"name": "f"}}]}),
            "parallel_tool_calls",
        ),
        (json!({"stop": ["1", "2", "3", "4", "5", "6"]}), "stop"),
        (json!({"reasoning_effort": "max"}), "reasoning_effort"),
        (json!({"model": ""}), "model"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url",
            "image_url": {"url": "https://example.org/a.png"}}]}]}),
            "messages[0]",
        ),
        (
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}),
            "messages[1]",
        ),
        (
            json!({"messages": [{"role": "tool", "tool_call_id": "x", "content": "b"}]}),
            "messages[0]",
        ),
    ] {
        let error = translated(Chat, Gemini, &with(smallest(Chat), fields)).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
    }
}

#[test]
fn its_answer_becomes_a_chat_completion_and_a_message() {
    let name = "32-gemini-response.json";
    let (body, expected) = (transcripts::bytes(name), transcripts::expected(name));
    let chat = answer(&back(Chat, Gemini), &body);
    assert_eq!(chat["id"], "r32");
    assert_eq!(chat["model"], expected["model"]);
    assert_eq!(chat["choices"][0]["message"]["content"], "Yellow");
    assert_eq!(chat["choices"][0]["finish_reason"], "stop");
    assert_eq!(chat["usage"]["prompt_tokens"], expected["input"]);
    assert_eq!(
        chat["usage"]["prompt_tokens_details"]["cached_tokens"],
        expected["cached"]
    );
    assert_eq!(chat["usage"]["completion_tokens"], expected["output"]);
    assert_eq!(
        chat["usage"]["completion_tokens_details"]["reasoning_tokens"],
        expected["reasoning"]
    );
    let message = answer(&back(Messages, Gemini), &body);
    assert_eq!(message["usage"]["input_tokens"], expected["uncached_input"]);
    assert_eq!(
        message["usage"]["cache_read_input_tokens"],
        expected["cached"]
    );
    assert_eq!(message["stop_reason"], "end_turn");
}

#[test]
fn a_blocked_prompt_is_an_answer_that_was_filtered() {
    let body = transcripts::bytes("39-gemini-blocked.json");
    let chat = answer(&back(Chat, Gemini), &body);
    assert_eq!(chat["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(chat["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(
        answer(&back(Messages, Gemini), &body)["stop_reason"],
        "refusal"
    );
}

#[test]
fn its_calls_get_an_id_and_end_as_calls() {
    let body = json!({"candidates": [{"content": {"role": "model", "parts": [
        {"text": "hm", "thought": true},
        {"functionCall": {"name": "lookup", "args": {"q": "lemon"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "now"}},
    ]}, "finishReason": "STOP", "index": 0}], "modelVersion": "g", "responseId": "r1"})
    .to_string();
    let chat = answer(&back(Chat, Gemini), body.as_bytes());
    assert_eq!(
        chat["choices"][0],
        json!({"index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm",
            "tool_calls": [
                {"id": "call_r1_0_0", "type": "function",
                    "function": {"name": "lookup", "arguments": "{\"q\":\"lemon\"}"}},
                {"id": "call_r1_0_1", "type": "function",
                    "function": {"name": "now", "arguments": ""}},
            ],
        }})
    );
    let message = answer(&back(Messages, Gemini), body.as_bytes());
    assert_eq!(message["content"][1]["input"], json!({}));
    assert_eq!(message["stop_reason"], "tool_use");
}

#[test]
fn its_failures_are_no_answers() {
    let body = json!({"candidates": [{"content": {"parts": [{"text": "a"}]},
        "finishReason": "MALFORMED_FUNCTION_CALL"}]});
    let error = back(Chat, Gemini)
        .answer(body.to_string().as_bytes())
        .unwrap_err();
    let body = String::from_utf8(error.body(Some(Chat)).to_vec()).unwrap();
    assert!(body.contains("MALFORMED_FUNCTION_CALL"), "{body}");
}

#[test]
fn its_streams_become_chunks_and_events() {
    for (name, framing) in [
        ("33-gemini-stream-crlf.sse", Framing::Sse),
        ("34-gemini-stream-array.json", Framing::Array),
    ] {
        let (bytes, expected) = (transcripts::bytes(name), transcripts::expected(name));
        for size in [1, 7, bytes.len()] {
            let chunks = stream(&streamed_back(Chat, Gemini), framing, bytes.chunks(size));
            assert_eq!(datas(&chunks).last().unwrap(), "[DONE]");
            let chunks = jsons(&chunks);
            let said = chunks
                .iter()
                .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
            assert_eq!(
                said.collect::<String>(),
                expected["text"][0].as_str().unwrap()
            );
            let usage = &chunks.last().unwrap()["usage"];
            assert_eq!(usage["completion_tokens"], expected["output"], "{name}");
            let events = stream(
                &streamed_back(Messages, Gemini),
                framing,
                bytes.chunks(size),
            );
            let events = jsons(&events);
            assert_eq!(events.last().unwrap()["type"], "message_stop");
            let usage = &events[events.len() - 2]["usage"];
            assert_eq!(usage["output_tokens"], expected["output"]);
            assert_eq!(usage["input_tokens"], expected["input"]);
        }
    }
}

#[test]
fn its_callers_are_answered_by_openai_and_anthropic() {
    let chat = transcripts::bytes("02-openai-chat-response.json");
    assert_eq!(
        answer(&back(Gemini, Chat), &chat),
        json!({
            "candidates": [{"content": {"parts": [{"text": "Yellow"}], "role": "model"},
                "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 5200, "cachedContentTokenCount": 4096,
                "candidatesTokenCount": 54, "thoughtsTokenCount": 256, "totalTokenCount": 5510},
            "modelVersion": "gpt-6-sol-2026-09-22",
            "responseId": "chatcmpl-x02",
        })
    );
    let message = transcripts::bytes("22-anthropic-response.json");
    let answer = answer(&thinking_back(json!({"includeThoughts": true})), &message);
    assert_eq!(
        answer["candidates"][0]["content"]["parts"],
        json!([{"text": "short", "thought": true}, {"text": "Yellow"}])
    );
}

/// The way back from Anthropic of a call with this in its configuration.
fn thinking_back(config: Value) -> Back {
    let asked = json!({"generationConfig": {"thinkingConfig": config}});
    let body = with(smallest(Gemini), asked).to_string();
    let asked = Asked::new(Gemini, body.as_bytes())
        .model("m")
        .stream(Framing::Sse);
    asked.translate(Messages).unwrap().back().clone()
}

#[test]
fn thoughts_are_shown_to_those_who_ask_for_them_and_to_no_other() {
    let message = transcripts::bytes("22-anthropic-response.json");
    let events = transcripts::bytes("23-anthropic-stream.sse");
    for (config, shown) in [
        (json!({"includeThoughts": true}), true),
        (
            json!({"includeThoughts": true, "thinkingLevel": "HIGH"}),
            true,
        ),
        (json!({"includeThoughts": false}), false),
        (
            json!({"includeThoughts": false, "thinkingBudget": 1024}),
            false,
        ),
        (json!({"thinkingBudget": 1024}), false),
        (json!({}), false),
    ] {
        let back = thinking_back(config.clone());
        let parts = answer(&back, &message)["candidates"][0]["content"]["parts"].clone();
        let thoughts = |parts: &Value| parts.to_string().contains(r#""thought":true"#);
        assert_eq!(thoughts(&parts), shown, "{config}");
        let chunks = jsons(&stream(&back, Framing::Sse, [&*events]));
        assert_eq!(chunks.iter().any(thoughts), shown, "{config}");
        // what was thought is counted all the same
        let used = &chunks.last().unwrap()["usageMetadata"];
        assert!(used["thoughtsTokenCount"].as_u64() > Some(0), "{used}");
    }
}

#[test]
fn its_callers_streams_say_calls_whole() {
    let bytes = transcripts::bytes("06-openai-chat-stream-tool-moderation.sse");
    let chunks = jsons(&stream(
        &streamed_back(Gemini, Chat),
        Framing::Sse,
        [&*bytes],
    ));
    let parts = &chunks[0]["candidates"][0]["content"]["parts"];
    assert_eq!(
        *parts,
        json!([{"functionCall": {"id": "call_1", "name": "lookup", "args": {"q": "lemon"}}}])
    );
    assert_eq!(
        chunks.last().unwrap()["candidates"][0]["finishReason"],
        "STOP"
    );
    assert_eq!(chunks.len(), 2);
}

#[test]
fn who_asks_for_an_array_gets_one_whatever_comes_of_it() {
    let body = smallest(Gemini).to_string();
    let asked = Asked::new(Gemini, body.as_bytes())
        .model("m")
        .stream(Framing::Array);
    let back = asked.translate(Messages).unwrap().back().clone();
    for (name, count, error) in [
        ("23-anthropic-stream.sse", 2, false),
        ("24-anthropic-stream-error.sse", 2, true),
        ("26-anthropic-stream-truncated.sse", 0, true),
    ] {
        let all = stream(&back, Framing::Sse, [&*transcripts::bytes(name)]);
        let all: Vec<Value> = serde_json::from_slice(&all).unwrap();
        assert!(all.len() >= count, "{name}");
        assert_eq!(all.last().unwrap().get("error").is_some(), error, "{name}");
    }
}

#[test]
fn an_instruction_among_the_contents_is_none_of_the_users() {
    let asked = json!({"contents": [
        {"role": "system", "parts": [{"text": "Be brief"}]},
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "system", "parts": [{"text": "In French"}]}]});
    assert_eq!(
        request(Gemini, Chat, &asked)["messages"],
        json!([{"role": "system", "content": "Be brief"}, {"role": "user", "content": "hi"},
            {"role": "system", "content": "In French"}])
    );
    let image = json!({"inlineData": {"mimeType": "image/png", "data": "aGk="}});
    let asked = json!({"contents": [{"role": "system", "parts": [image]}]});
    assert_eq!(
        refused(Gemini, Chat, &asked),
        "`contents[0].parts` cannot be carried over: an instruction is text"
    );
}

#[test]
fn a_stream_for_its_callers_has_nothing_but_data_and_blank_lines() {
    // pings, and reasoning that is not shown
    let events = transcripts::bytes("23-anthropic-stream.sse");
    for chunk in [1, 40, events.len()] {
        let back = streamed_back(Gemini, Messages);
        let all = stream(&back, Framing::Sse, events.chunks(chunk));
        let text = String::from_utf8(all).unwrap();
        let only_data = |line: &str| line.is_empty() || line.starts_with("data: ");
        assert!(text.lines().all(only_data), "{text}");
    }
}
