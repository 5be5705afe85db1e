//! Requests of each dialect that is a target, read by hand to what they mean.

use llm_exchange::Dialect;
use serde_json::Value;

use crate::{
    neutral::{Asks, Call, Choice, Part, Tool, Turn, call, tool},
    support::{Chat, Gemini, Messages},
};

/// What a request of this dialect asks. Anything in it that is not known here is a failed test.
pub(crate) fn read(dialect: Dialect, json: &Value) -> Asks {
    let config = match dialect {
        Gemini => json["generationConfig"].clone(),
        _ => json.clone(),
    };
    let hundredths = |value: &Value| value.as_f64().map(|of| (of * 100.0).round() as u32);
    let (cap, top_p, stops, schema, effort) = match dialect {
        Gemini => (
            "maxOutputTokens",
            "topP",
            &config["stopSequences"],
            &config["responseJsonSchema"],
            &config["thinkingConfig"]["thinkingLevel"],
        ),
        Messages => (
            "max_tokens",
            "top_p",
            &json["stop_sequences"],
            &json["output_config"]["format"]["schema"],
            &json["output_config"]["effort"],
        ),
        _ => (
            "max_completion_tokens",
            "top_p",
            &json["stop"],
            &json["response_format"]["json_schema"]["schema"],
            &json["reasoning_effort"],
        ),
    };
    if dialect == Gemini && !schema.is_null() {
        assert_eq!(config["responseMimeType"], "application/json");
    }
    let effort = effort.as_str().map(str::to_lowercase);
    Asks {
        system: system(dialect, json),
        turns: turns(dialect, json),
        tools: tools(dialect, json),
        choice: choice(dialect, json),
        stops: match stops {
            Value::String(one) => vec![one.clone()],
            all => strings(all),
        },
        schema: Some(schema.clone()).filter(|schema| !schema.is_null()),
        cap: config[cap].as_u64().unwrap(),
        effort: effort.map(|effort| {
            *["low", "medium", "high"]
                .iter()
                .find(|word| **word == effort)
                .unwrap()
        }),
        temperature: hundredths(&config["temperature"]),
        top_p: hundredths(&config[top_p]),
    }
}

fn strings(list: &Value) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn list(of: &Value) -> &[Value] {
    of.as_array().map_or(&[], Vec::as_slice)
}

fn text(of: &Value) -> String {
    of.as_str()
        .unwrap_or_else(|| panic!("no text: {of}"))
        .to_owned()
}

fn system(dialect: Dialect, json: &Value) -> Option<String> {
    let said = match dialect {
        Gemini => &json["systemInstruction"]["parts"][0]["text"],
        Messages => &json["system"],
        _ if json["messages"][0]["role"] == "system" => &json["messages"][0]["content"],
        _ => return None,
    };
    said.as_str().map(str::to_owned)
}

fn tools(dialect: Dialect, json: &Value) -> Vec<Tool> {
    let all = match dialect {
        Gemini => &json["tools"][0]["functionDeclarations"],
        _ => &json["tools"],
    };
    let one = |one: &Value| {
        let (one, schema) = match dialect {
            Gemini => (one, "parametersJsonSchema"),
            Messages => (one, "input_schema"),
            _ => (&one["function"], "parameters"),
        };
        tool(
            one["name"].as_str().unwrap(),
            one["description"].as_str(),
            &one[schema],
        )
    };
    list(all).iter().map(one).collect()
}

fn choice(dialect: Dialect, json: &Value) -> Option<Choice> {
    let (kind, name) = match dialect {
        Gemini => {
            let config = &json["toolConfig"]["functionCallingConfig"];
            (&config["mode"], &config["allowedFunctionNames"][0])
        }
        Messages => (&json["tool_choice"]["type"], &json["tool_choice"]["name"]),
        _ => (
            &json["tool_choice"],
            &json["tool_choice"]["function"]["name"],
        ),
    };
    if let Some(name) = name.as_str() {
        return Some(Choice::Named(name.to_owned()));
    }
    match kind.as_str() {
        None => None,
        Some("none" | "NONE") => Some(Choice::Never),
        Some("required" | "any" | "ANY") => Some(Choice::Any),
        Some(other) => panic!("not asked for: {other}"),
    }
}

/// What a message says, put together by turns.
#[derive(Default)]
struct Turns(Vec<Turn>);

impl Turns {
    fn user(&mut self) -> (&mut Vec<Call>, &mut Vec<Part>) {
        if !matches!(self.0.last(), Some(Turn::User { .. })) {
            self.0.push(Turn::User {
                results: Vec::new(),
                parts: Vec::new(),
            });
        }
        match self.0.last_mut() {
            Some(Turn::User { results, parts }) => (results, parts),
            _ => unreachable!(),
        }
    }

    fn assistant(&mut self) -> (&mut Option<String>, &mut Vec<Call>) {
        if !matches!(self.0.last(), Some(Turn::Assistant { .. })) {
            let (text, calls) = (None, Vec::new());
            self.0.push(Turn::Assistant {
                thought: None,
                text,
                calls,
            });
        }
        match self.0.last_mut() {
            Some(Turn::Assistant { text, calls, .. }) => (text, calls),
            _ => unreachable!(),
        }
    }

    /// The name under which a call was made.
    fn called(&self, id: &str) -> String {
        let calls = self.0.iter().flat_map(|turn| match turn {
            Turn::Assistant { calls, .. } => calls.as_slice(),
            Turn::User { .. } => &[],
        });
        let mut calls = calls.filter(|call| call.id() == id);
        calls.next().expect("a result of no call").name().to_owned()
    }

    fn result(&mut self, id: &str, said: &Value) {
        let name = self.called(id);
        let result = call(id, &name, &text(said));
        let (results, parts) = self.user();
        assert!(parts.is_empty(), "results stand first");
        results.push(result);
    }

    fn say(&mut self, role: &Value, said: String) {
        if role == "user" {
            self.user().1.push(Part::Text(said));
        } else {
            let before = self.assistant().0.replace(said);
            assert_eq!(before, None, "an assistant's text in two");
        }
    }
}

fn turns(dialect: Dialect, json: &Value) -> Vec<Turn> {
    let mut turns = Turns::default();
    let all = match dialect {
        Gemini => list(&json["contents"]),
        _ => list(&json["messages"]),
    };
    for message in all {
        match (dialect, message["role"].as_str()) {
            (_, Some("system")) => {}
            (Gemini, _) => message["parts"]
                .as_array()
                .unwrap()
                .iter()
                .for_each(|part| google_part(&message["role"], part, &mut turns)),
            (Messages, _) => match &message["content"] {
                Value::String(said) => turns.say(&message["role"], said.clone()),
                blocks => list(blocks)
                    .iter()
                    .for_each(|one| block(&message["role"], one, &mut turns)),
            },
            (Chat, Some("tool")) => {
                let id = text(&message["tool_call_id"]);
                turns.result(&id, &message["content"]);
            }
            _ => {
                match &message["content"] {
                    Value::Null => {}
                    Value::String(said) => turns.say(&message["role"], said.clone()),
                    parts => list(parts)
                        .iter()
                        .for_each(|one| chat_part(&message["role"], one, &mut turns)),
                }
                for one in list(&message["tool_calls"]) {
                    let function = &one["function"];
                    let arguments: Value =
                        serde_json::from_str(&text(&function["arguments"])).unwrap();
                    turns.assistant().1.push(call(
                        &text(&one["id"]),
                        &text(&function["name"]),
                        &text(&arguments["q"]),
                    ));
                }
            }
        }
    }
    turns.0
}

fn google_part(role: &Value, part: &Value, turns: &mut Turns) {
    if let Some(said) = part["text"].as_str() {
        assert!(
            part.get("thought").is_none(),
            "what was thought is not sent on"
        );
        turns.say(role, said.to_owned());
    } else if let Some(one) = part.get("functionCall") {
        turns.assistant().1.push(call(
            &text(&one["id"]),
            &text(&one["name"]),
            &text(&one["args"]["q"]),
        ));
    } else if let Some(one) = part.get("functionResponse") {
        let id = text(&one["id"]);
        turns.result(&id, &one["response"]["output"]);
    } else {
        assert_eq!(part["inlineData"]["mimeType"], "image/webp");
        turns
            .user()
            .1
            .push(Part::Image(text(&part["inlineData"]["data"])));
    }
}

fn block(role: &Value, block: &Value, turns: &mut Turns) {
    match block["type"].as_str().unwrap() {
        "text" => turns.say(role, text(&block["text"])),
        "tool_use" => turns.assistant().1.push(call(
            &text(&block["id"]),
            &text(&block["name"]),
            &text(&block["input"]["q"]),
        )),
        "tool_result" => {
            let id = text(&block["tool_use_id"]);
            turns.result(&id, &block["content"]);
        }
        "image" => {
            assert_eq!(block["source"]["media_type"], "image/webp");
            turns
                .user()
                .1
                .push(Part::Image(text(&block["source"]["data"])));
        }
        other => panic!("not said: {other}"),
    }
}

fn chat_part(role: &Value, part: &Value, turns: &mut Turns) {
    match part["type"].as_str().unwrap() {
        "text" => turns.say(role, text(&part["text"])),
        _ => {
            let url = text(&part["image_url"]["url"]);
            let data = url.strip_prefix("data:image/webp;base64,").unwrap();
            turns.user().1.push(Part::Image(data.to_owned()));
        }
    }
}
