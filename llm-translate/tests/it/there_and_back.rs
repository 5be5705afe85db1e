//! Requests there and back: what they mean stays.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Chat, Gemini, Messages, request, with};

const TEXT: &str = "[a-z \"\\\\\n\u{e9}\u{1f600}\u{2028}{}]{1,12}";

/// One thing that is said; more in a row of one role are one turn.
#[derive(Clone, Debug)]
enum Turn {
    User(Vec<Value>),
    /// A text, and calls with their results.
    Assistant(Option<String>, Vec<(String, String)>),
}

fn part() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => TEXT.prop_map(|text| json!({"type": "text", "text": text})),
        1 => "[A-Za-z0-9+/]{4,8}".prop_map(|data| json!({"type": "image_url",
            "image_url": {"url": format!("data:image/webp;base64,{data}")}})),
    ]
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let user = proptest::collection::vec(part(), 1..4).prop_map(Turn::User);
    let calls = proptest::collection::vec((TEXT, TEXT), 0..3);
    let assistant = (proptest::option::of(TEXT), calls)
        .prop_filter("it says something", |(text, calls)| {
            text.is_some() || !calls.is_empty()
        })
        .prop_map(|(text, calls)| Turn::Assistant(text, calls));
    proptest::collection::vec(prop_oneof![user, assistant], 0..6)
}

/// A content as our own writer has it: a text alone is no list.
fn content(parts: Vec<Value>) -> Value {
    match &*parts {
        [part] if part["type"] == "text" => part["text"].clone(),
        _ => parts.into(),
    }
}

/// The messages in the form in which there is only one way to say it.
fn messages(system: Option<String>, turns: Vec<Turn>) -> Value {
    let mut messages = Vec::new();
    messages.extend(system.map(|text| json!({"role": "system", "content": text})));
    let (mut user, mut number) = (Vec::new(), 0);
    let mut last_assistant = false;
    for turn in turns {
        match turn {
            Turn::User(parts) => user.extend(parts),
            // two in a row would be one
            Turn::Assistant(..) if last_assistant && user.is_empty() => continue,
            Turn::Assistant(text, calls) => {
                if !user.is_empty() {
                    messages.push(
                        json!({"role": "user", "content": content(std::mem::take(&mut user))}),
                    );
                }
                let mut message = json!({"role": "assistant", "content": text});
                let mut results = Vec::new();
                let mut list = Vec::new();
                for (argument, result) in calls {
                    number += 1;
                    let id = format!("call_{number}");
                    let arguments = json!({"q": argument}).to_string();
                    list.push(json!({"id": id, "type": "function",
                        "function": {"name": "lookup", "arguments": arguments}}));
                    results.push(json!({"role": "tool", "content": result, "tool_call_id": id}));
                }
                last_assistant = results.is_empty();
                if !list.is_empty() {
                    message["tool_calls"] = list.into();
                }
                messages.push(message);
                messages.extend(results);
                continue;
            }
        }
        last_assistant = false;
    }
    user.push(json!({"type": "text", "text": "And now?"}));
    messages.push(json!({"role": "user", "content": content(user)}));
    messages.into()
}

prop_compose! {
    fn chat()(
        system in proptest::option::of(TEXT),
        turns in turns(),
        tools in any::<bool>(),
        choice in prop_oneof![Just(json!("auto")), Just(json!("none")), Just(json!("required")),
            Just(json!({"type": "function", "function": {"name": "lookup"}})), Just(Value::Null)],
        temperature in prop_oneof![Just(Value::Null), (0u32..=100).prop_map(|of| json!(f64::from(of) / 100.0))],
        stops in proptest::collection::vec("[a-z#]{1,5}", 0..5),
        cap in 1u64..99_999,
        effort in prop_oneof![Just(Value::Null), Just(json!("low")), Just(json!("medium")), Just(json!("high"))],
        schema in any::<bool>(),
        stream in any::<bool>(),
    ) -> Value {
        let mut chat = json!({"model": "m", "messages": messages(system, turns),
            "max_completion_tokens": cap});
        if tools {
            chat["tools"] = json!([{"type": "function", "function": {"name": "lookup",
                "description": "Looks up.", "parameters": {"type": "object", "additionalProperties": false}}}]);
            if !choice.is_null() {
                chat["tool_choice"] = choice;
            }
        }
        for (name, value) in [("temperature", temperature), ("reasoning_effort", effort)] {
            if !value.is_null() {
                chat[name] = value;
            }
        }
        match &*stops {
            [] => {}
            [stop] => chat["stop"] = json!(stop),
            stops => chat["stop"] = json!(stops),
        }
        if schema {
            chat["response_format"] = json!({"type": "json_schema", "json_schema":
                {"name": "answer", "schema": {"type": "object"}, "strict": true}});
        }
        if stream {
            chat["stream"] = json!(true);
            chat["stream_options"] = json!({"include_usage": true});
        }
        chat
    }
}

proptest! {
    #[test]
    fn a_chat_comes_back_as_it_went(chat in chat()) {
        let messages = request(Chat, Messages, &chat);
        prop_assert_eq!(&request(Messages, Chat, &messages), &chat);
        // Gemini's path has the stream, and its schemas are not strict
        let mut plain = with(chat.clone(), json!({"stream": null, "stream_options": null}));
        if plain.get("response_format").is_some() {
            plain["response_format"]["json_schema"].as_object_mut().unwrap().remove("strict");
        }
        let gemini = request(Chat, Gemini, &plain);
        prop_assert_eq!(&request(Gemini, Chat, &gemini), &plain);
    }

    #[test]
    fn a_message_comes_back_from_gemini_as_it_went(chat in chat()) {
        let plain = with(chat, json!({"stream": null, "stream_options": null}));
        let messages = request(Chat, Messages, &plain);
        let gemini = request(Messages, Gemini, &messages);
        prop_assert_eq!(&request(Gemini, Messages, &gemini), &messages);
        prop_assert_eq!(&request(Messages, Gemini, &request(Gemini, Messages, &gemini)), &gemini);
    }

    #[test]
    fn noise_is_an_error_and_no_panic(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
        for (from, to) in [(Chat, Messages), (Messages, Gemini), (Gemini, Chat)] {
            prop_assert!(llm_translate::Asked::new(from, &noise).translate(to).is_err());
        }
    }
}
