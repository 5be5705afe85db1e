//! Requests of OpenAI chat completions for Anthropic, and the reverse.

use serde_json::{Value, json};

use crate::{
    support::{Chat, Messages, refused, request, smallest, translated, with},
    transcripts,
};

fn transcript(name: &str) -> Value {
    serde_json::from_slice(&transcripts::bytes(name)).unwrap()
}

#[test]
fn the_chat_transcript_becomes_messages() {
    let asked = transcript("01-openai-chat-request.json");
    assert_eq!(
        refused(Chat, Messages, &asked),
        "`n` cannot be carried over: there is only one answer"
    );
    let asked = with(asked, json!({"n": null}));
    assert_eq!(
        request(Chat, Messages, &asked),
        json!({
            "model": "gpt-6-sol",
            "max_tokens": 400,
            "system": "Answer in one word.",
            "messages": [{"role": "user", "content": "Colour of a ripe lemon?"}],
            "output_config": {"effort": "low"},
            "metadata": {"user_id": "u_5f2c9e"},
            "stream": true,
        })
    );
    let translated = translated(Chat, Messages, &asked).unwrap();
    assert_eq!(translated.path(), "/v1/messages");
    assert_eq!(
        translated.left_out(),
        [
            "metadata",
            "prompt_cache_key",
            "prompt_cache_options",
            "service_tier"
        ]
    );
}

#[test]
fn the_messages_transcript_becomes_a_chat() {
    let asked = transcript("21-anthropic-request.json");
    assert_eq!(
        request(Messages, Chat, &asked),
        json!({
            "model": "claude-opus-5-5",
            "messages": [
                {"role": "system", "content": "You are terse."},
                {"role": "user", "content": "Colour of a ripe lemon?"},
            ],
            "max_completion_tokens": 2048,
            "stream": true,
            "stream_options": {"include_usage": true},
            "tools": [{"type": "function", "function": {
                "name": "lookup", "description": "Look up a word",
                "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
            }}],
            "safety_identifier": "u_5f2c9e",
        })
    );
    let translated = translated(Messages, Chat, &asked).unwrap();
    assert_eq!(translated.path(), "/v1/chat/completions");
    assert_eq!(
        translated.left_out(),
        ["cache_control", "service_tier", "thinking"]
    );
}

/// Three turns with two calls at once, an image and a failed result, as each dialect says it.
fn chat_with_tools() -> Value {
    json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be exact."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            ]},
            {"role": "assistant", "content": "I look it up.", "tool_calls": [
                {"id": "call_1", "type": "function",
                    "function": {"name": "lookup", "arguments": "{\"q\": \"lemon\", \"n\": 1.50}"}},
                {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a fruit"},
            {"role": "tool", "tool_call_id": "call_2", "content": [
                {"type": "text", "text": "12"}, {"type": "text", "text": ":00"},
            ]},
            {"role": "user", "content": "So?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "lookup", "description": "Looks up.",
                "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}, "strict": true}},
            {"type": "function", "function": {"name": "now"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "lookup"}},
        "parallel_tool_calls": false,
        "temperature": 0.30,
        "top_p": 0.9,
        "stop": ["###", "END"],
        "max_tokens": 77,
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "fruit", "strict": true, "schema": {"type": "object"}}},
    })
}

fn messages_with_tools() -> Value {
    json!({
        "model": "m",
        "max_tokens": 77,
        "system": "Be exact.",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source":
                    {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look it up."},
                {"type": "tool_use", "id": "call_1", "name": "lookup", "input": {"q": "lemon", "n": 1.50}},
                {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "a fruit"},
                {"type": "tool_result", "tool_use_id": "call_2", "content": [
                    {"type": "text", "text": "12"}, {"type": "text", "text": ":00"},
                ]},
                {"type": "text", "text": "So?"},
            ]},
        ],
        "temperature": 0.30,
        "top_p": 0.9,
        "stop_sequences": ["###", "END"],
        "tools": [
            {"name": "lookup", "description": "Looks up.", "strict": true,
                "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}},
            {"name": "now", "input_schema": {"type": "object"}},
        ],
        "tool_choice": {"type": "tool", "name": "lookup", "disable_parallel_tool_use": true},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    })
}

#[test]
fn tools_images_and_results_go_to_anthropic() {
    assert_eq!(
        request(Chat, Messages, &chat_with_tools()),
        messages_with_tools()
    );
}

#[test]
fn tools_images_and_results_come_from_anthropic() {
    let mut expected = with(
        chat_with_tools(),
        json!({"max_tokens": null, "max_completion_tokens": 77}),
    );
    // what only one side says, or says in another way
    expected["messages"][2]["tool_calls"][0]["function"]["arguments"] =
        r#"{"n":1.5,"q":"lemon"}"#.into();
    expected["messages"][2]["tool_calls"][1]["function"]["arguments"] = "{}".into();
    expected["tools"][1]["function"]["parameters"] = json!({"type": "object"});
    expected["response_format"]["json_schema"]["name"] = "answer".into();
    assert_eq!(request(Messages, Chat, &messages_with_tools()), expected);
}

#[test]
fn what_is_passed_through_keeps_its_digits_and_its_order() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.70,
        "tools":[{"type":"function","function":{"name":"f","parameters":{"z":1e2,"a":12345678901234567890}}}]}"#;
    let translated = llm_translate::Asked::new(Chat, body.as_bytes())
        .translate(Messages)
        .unwrap();
    let text = std::str::from_utf8(translated.body()).unwrap();
    assert!(text.contains(r#""temperature":0.70"#), "{text}");
    assert!(
        text.contains(r#""input_schema":{"z":1e2,"a":12345678901234567890}"#),
        "{text}"
    );
}

#[test]
fn a_field_that_nobody_knows_is_never_dropped() {
    let unknown = |of, to, fields| refused(of, to, &with(smallest(of), fields));
    assert_eq!(
        unknown(Chat, Messages, json!({"frobnicate": 1})),
        "`frobnicate` is not known, so it cannot be carried over"
    );
    assert_eq!(
        unknown(Messages, Chat, json!({"container": {"skills": []}})),
        "`container` is not known, so it cannot be carried over"
    );
    assert_eq!(
        unknown(
            Chat,
            Messages,
            json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "a"}, {"type": "text", "text": "b", "frob": true}]}]})
        ),
        "`messages[0].content[1].frob` is not known, so it cannot be carried over"
    );
    assert_eq!(
        unknown(
            Messages,
            Chat,
            json!({"tools": [{"name": "f", "input_schema": {}, "frob": 1}]})
        ),
        "`tools[0].frob` is not known, so it cannot be carried over"
    );
    // `null` says nothing
    request(
        Chat,
        Messages,
        &with(
            smallest(Chat),
            json!({"messages": [
        {"role": "user", "content": "hi", "frob": null}]}),
        ),
    );
}

#[test]
fn what_the_other_side_lacks_is_named() {
    for (fields, field) in [
        (json!({"seed": 7}), "seed"),
        (json!({"presence_penalty": 0.5}), "presence_penalty"),
        (json!({"frequency_penalty": -1}), "frequency_penalty"),
        (json!({"temperature": 1.3}), "temperature"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"logit_bias": {"50256": -100}}), "logit_bias"),
        (
            json!({"response_format": {"type": "json_object"}}),
            "response_format",
        ),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (
            json!({"web_search_options": {"a": 1}}),
            "web_search_options",
        ),
        (json!({"verbosity": "low"}), "verbosity"),
        (json!({"stop": " "}), "stop"),
        (
            json!({"tools": [{"type": "custom", "custom": {}}]}),
            "tools[0].type",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "a.b"}}]}),
            "tools[0].name",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url",
            "image_url": {"url": "data:image/bmp;base64,AAAA"}}]}]}),
            "messages[0]",
        ),
        (
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
            "messages[1]",
        ),
        (
            json!({"messages": [{"role": "user", "content": "a", "name": "Bob"}]}),
            "messages[0].name",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "function",
            "function": {"name": "f", "arguments": "not json"}}]}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
    ] {
        let error = translated(Chat, Messages, &with(smallest(Chat), fields)).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
        assert!(!error.is_malformed(), "{error}");
    }
    for (fields, field) in [
        (json!({"top_k": 40}), "top_k"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"inference_geo": "eu"}), "inference_geo"),
        (
            json!({"stop_sequences": ["a", "b", "c", "d", "e"]}),
            "stop_sequences",
        ),
        (
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            "tools[0].type",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "document"}]}]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image",
            "source": {"type": "file", "file_id": "f"}}]}]}),
            "messages[0].content[0].source.type",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "tool_result",
            "tool_use_id": "t", "content": [{"type": "image",
                "source": {"type": "url", "url": "https://example.org/a"}}]}]}]}),
            "messages[0]",
        ),
    ] {
        let error = translated(Messages, Chat, &with(smallest(Messages), fields)).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
    }
}

#[test]
fn a_request_that_is_faulty_says_so() {
    for (fields, sentence) in [
        (json!({"messages": null}), "`messages` is missing"),
        (
            json!({"messages": {}}),
            "`messages` is not valid: it is no list",
        ),
        (
            json!({"temperature": "hot"}),
            "`temperature` is not valid: it is no number",
        ),
        (
            json!({"messages": [7]}),
            "`messages[0]` is not valid: it is no object",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url",
            "image_url": {"url": "file:///etc/passwd"}}]}]}),
            "`messages[0].content[0].image_url.url` is not valid: it is neither an address nor base64 data",
        ),
    ] {
        let error = translated(Chat, Messages, &with(smallest(Chat), fields)).unwrap_err();
        assert_eq!(error.to_string(), sentence);
        assert!(error.is_malformed());
    }
    let twice = br#"{"model":"m","model":"n","messages":[]}"#;
    let error = llm_translate::Asked::new(Chat, twice)
        .translate(Messages)
        .unwrap_err();
    assert_eq!(error.to_string(), "`model` stands twice");
    let error = llm_translate::Asked::new(Chat, b"{")
        .translate(Messages)
        .unwrap_err();
    assert_eq!(error.to_string(), "the request is not valid: it is no JSON");
}

#[test]
fn no_value_is_told_with_an_error() {
    let canary = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "canary-text", "frob": "canary-value"}]}]});
    let asked = with(smallest(Chat), canary);
    let error = translated(Chat, Messages, &asked).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
    let asked = with(smallest(Chat), json!({"a\nb": 1}));
    assert!(!refused(Chat, Messages, &asked).contains('\n'));
    let asked = with(smallest(Chat), json!({"user": "canary"}));
    let translated = translated(Chat, Messages, &asked).unwrap();
    assert!(!format!("{translated:?}").contains("canary"));
}

#[test]
fn sampling_is_left_out_only_for_the_version_that_refuses_it() {
    let asked = with(smallest(Chat), json!({"temperature": 0.5, "top_p": 0.9}));
    let body = asked.to_string();
    let ask = || llm_translate::Asked::new(Chat, body.as_bytes());
    let old = ask().translate(Messages).unwrap();
    assert!(old.left_out().is_empty());
    let new = ask()
        .anthropic_version("2026-10-21")
        .translate(Messages)
        .unwrap();
    assert_eq!(new.left_out(), ["temperature", "top_p"]);
    let sent: Value = serde_json::from_slice(new.body()).unwrap();
    assert_eq!(sent.get("temperature"), None);
    assert_eq!(sent.get("top_p"), None);
}

#[test]
fn two_messages_of_one_role_are_one_turn() {
    let asked = with(
        smallest(Chat),
        json!({"messages": [
            {"role": "user", "content": "a"},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": "c"},
            {"role": "user", "content": "d"},
        ]}),
    );
    assert_eq!(
        request(Chat, Messages, &asked)["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c"},
            {"role": "user", "content": "d"},
        ])
    );
}

#[test]
fn instructions_after_the_beginning_stay_where_they_are() {
    let asked = with(
        smallest(Chat),
        json!({"messages": [
            {"role": "system", "content": "one"},
            {"role": "developer", "content": "two"},
            {"role": "user", "content": "a"},
            {"role": "system", "content": "three"},
        ]}),
    );
    let messages = request(Chat, Messages, &asked);
    assert_eq!(
        messages["system"],
        json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}])
    );
    assert_eq!(
        messages["messages"][1],
        json!({"role": "system", "content": "three"})
    );
    let chat = request(Messages, Chat, &messages);
    assert_eq!(
        chat["messages"][2],
        json!({"role": "system", "content": "three"})
    );
}

#[test]
fn reasoning_of_earlier_turns_stays_behind_and_is_told() {
    let asked = with(
        smallest(Messages),
        json!({"messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "xx"},
                {"type": "text", "text": "b"},
            ]},
            {"role": "user", "content": "c"},
        ]}),
    );
    let translated = translated(Messages, Chat, &asked).unwrap();
    assert_eq!(translated.left_out(), ["messages.thinking"]);
    let chat: Value = serde_json::from_slice(translated.body()).unwrap();
    assert_eq!(
        chat["messages"][1],
        json!({"role": "assistant", "content": "b"})
    );
}

#[test]
fn thinking_is_asked_for_in_the_targets_words() {
    for (effort, thinking, config) in [
        ("none", json!({"type": "disabled"}), Value::Null),
        ("minimal", Value::Null, json!({"effort": "low"})),
        ("xhigh", Value::Null, json!({"effort": "xhigh"})),
    ] {
        let asked = with(smallest(Chat), json!({"reasoning_effort": effort}));
        let messages = request(Chat, Messages, &asked);
        assert_eq!(messages["thinking"], thinking, "{effort}");
        assert_eq!(messages["output_config"], config, "{effort}");
    }
    let asked = with(
        smallest(Messages),
        json!({
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "output_config": {"effort": "max"},
        }),
    );
    assert_eq!(request(Messages, Chat, &asked)["reasoning_effort"], "max");
}

#[test]
fn ids_that_anthropic_does_not_take_are_changed_alike() {
    let asked = with(
        smallest(Chat),
        json!({"messages": [
            {"role": "assistant", "tool_calls": [{"id": "functions.now:0", "type": "function",
                "function": {"name": "now", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "functions.now:0", "content": "12"},
        ]}),
    );
    let messages = request(Chat, Messages, &asked);
    assert_eq!(
        messages["messages"][0]["content"][0]["id"],
        "functions_now_0"
    );
    assert_eq!(
        messages["messages"][1]["content"][0]["tool_use_id"],
        "functions_now_0"
    );
}

#[test]
fn a_call_without_a_cap_may_be_as_long_as_models_can() {
    assert_eq!(
        request(Chat, Messages, &smallest(Chat))["max_tokens"],
        32_000
    );
}

#[test]
fn a_failed_result_is_told_in_the_result_and_as_left_out() {
    let asked = with(
        smallest(Messages),
        json!({"messages": [
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": "no such word"}]},
        ]}),
    );
    let translated = translated(Messages, Chat, &asked).unwrap();
    assert_eq!(translated.left_out(), ["tool_result.is_error"]);
}

#[test]
fn ids_that_differ_only_in_what_is_changed_stay_apart() {
    let ids = ["a.b", "a:b", "a_b", "a_b_2"];
    let calls: Vec<_> = ids
        .iter()
        .map(|id| json!({"id": id, "type": "function", "function": {"name": "now", "arguments": "{}"}}))
        .collect();
    let mut said = vec![json!({"role": "assistant", "tool_calls": calls})];
    said.extend(ids.map(|id| json!({"role": "tool", "tool_call_id": id, "content": id})));
    let asked = with(smallest(Chat), json!({"messages": said}));
    let messages = request(Chat, Messages, &asked);
    let calls = messages["messages"][0]["content"].as_array().unwrap();
    let called: Vec<_> = calls
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect();
    assert_eq!(called, ["a_b_3", "a_b_4", "a_b", "a_b_2"]);
    let results = messages["messages"][1]["content"].as_array().unwrap();
    for (result, (called, id)) in results.iter().zip(called.iter().zip(ids)) {
        assert_eq!(
            (result["tool_use_id"].as_str(), result["content"].as_str()),
            (Some(*called), Some(id))
        );
    }
}
