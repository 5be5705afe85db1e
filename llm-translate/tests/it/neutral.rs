//! A request in no dialect, written in each by hand and read from each by hand: what a translation is to keep.

use llm_exchange::Dialect;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Chat, Gemini, Messages, Responses};

const TEXT: &str = "[a-z \"\\\\\n\u{e9}\u{1f600}\u{2028}{}]{1,12}";

/// What all dialects can say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asks {
    pub(crate) system: Option<String>,
    /// A user's and an assistant's by turns; the last is a user's.
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    /// Only where there are tools.
    pub(crate) choice: Option<Choice>,
    pub(crate) stops: Vec<String>,
    pub(crate) schema: Option<Value>,
    pub(crate) cap: u64,
    pub(crate) effort: Option<&'static str>,
    /// In hundredths.
    pub(crate) temperature: Option<u32>,
    pub(crate) top_p: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    /// Results of the calls before it, then texts and images.
    User {
        results: Vec<Call>,
        parts: Vec<Part>,
    },
    /// What it thought is not sent on.
    Assistant {
        thought: Option<String>,
        text: Option<String>,
        calls: Vec<Call>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(String),
    /// The base64 of a WebP.
    Image(String),
}

/// A call of a tool, or its result: the text is the argument, or what came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    id: String,
    name: String,
    text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tool {
    name: String,
    description: Option<String>,
    required: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    Never,
    Any,
    Named(String),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        3 => TEXT.prop_map(Part::Text),
        1 => "[A-Za-z0-9+/]{4,8}".prop_map(Part::Image),
    ]
}

/// What an assistant says between two of a user's turns, and what came of its calls.
type Said = (
    Option<String>,
    Option<String>,
    Vec<(bool, String, String)>,
    Vec<Part>,
);

fn said() -> impl Strategy<Value = Said> {
    let calls = prop::collection::vec((any::<bool>(), TEXT, TEXT), 0..3);
    let user = prop::collection::vec(part(), 1..3);
    (prop::option::of(TEXT), prop::option::of(TEXT), calls, user)
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let first = prop::collection::vec(part(), 1..3);
    (first, prop::collection::vec(said(), 0..4)).prop_map(|(parts, all)| {
        let mut turns = vec![Turn::User {
            results: Vec::new(),
            parts,
        }];
        let mut number = 0;
        for (thought, text, calls, parts) in all {
            let text = text.or_else(|| calls.is_empty().then(|| "So".to_owned()));
            let calls = calls.into_iter().map(|(one, argument, result)| {
                number += 1;
                let name = if one { "lookup" } else { "now" };
                let of = |text| Call {
                    id: format!("call_{number}"),
                    name: name.into(),
                    text,
                };
                (of(argument), of(result))
            });
            let (calls, results): (Vec<_>, Vec<_>) = calls.unzip();
            // results alone are a turn too
            let parts = if results.len() == 1 {
                Vec::new()
            } else {
                parts
            };
            turns.push(Turn::Assistant {
                thought,
                text,
                calls,
            });
            turns.push(Turn::User { results, parts });
        }
        turns
    })
}

prop_compose! {
    pub(crate) fn asks()(
        system in prop::option::of(TEXT),
        turns in turns(),
        tools in 0usize..3,
        (description, required) in (prop::option::of("[a-z .]{1,9}"), any::<bool>()),
        choice in prop_oneof![Just(None), Just(Some(Choice::Never)), Just(Some(Choice::Any)),
            Just(Some(Choice::Named("lookup".into())))],
        stops in prop::collection::vec("[a-z#]{1,5}", 0..5),
        schema in any::<bool>(),
        cap in 1u64..99_999,
        effort in prop_oneof![Just(None), Just(Some("low")), Just(Some("medium")), Just(Some("high"))],
        temperature in prop::option::of(0u32..=100),
        top_p in prop::option::of(0u32..=100),
    ) -> Asks {
        let tools: Vec<_> = ["lookup", "now"][..tools].iter().map(|name| Tool {
            name: (*name).into(), description: description.clone(), required,
        }).collect();
        Asks {
            system, turns, stops, cap, effort, temperature, top_p,
            choice: choice.filter(|_| !tools.is_empty()),
            tools,
            schema: schema.then(|| json!({"type": "object", "properties": {"q": {"type": "string"}},
                "required": ["q"], "additionalProperties": false})),
        }
    }
}

impl Asks {
    /// Without what is not sent on.
    pub(crate) fn without_thoughts(mut self) -> Self {
        for turn in &mut self.turns {
            if let Turn::Assistant { thought, .. } = turn {
                *thought = None;
            }
        }
        self
    }

    pub(crate) fn has_thoughts(&self) -> bool {
        self.clone().without_thoughts() != *self
    }

    /// As a request of this dialect.
    pub(crate) fn write(&self, dialect: Dialect) -> Value {
        let mut json = match dialect {
            Messages => json!({"model": "m", "max_tokens": self.cap}),
            Gemini => json!({}),
            Responses => json!({"model": "m", "max_output_tokens": self.cap}),
            _ => json!({"model": "m", "max_completion_tokens": self.cap}),
        };
        let turns = self.turns.iter().flat_map(|turn| turn.write(dialect));
        let turns: Vec<Value> = turns.collect();
        match (dialect, &self.system) {
            (Messages, Some(text)) => json["system"] = json!(text),
            (Gemini, Some(text)) => json["systemInstruction"] = json!({"parts": [{"text": text}]}),
            (Responses, Some(text)) => json["instructions"] = json!(text),
            _ => {}
        }
        let list = match dialect {
            Gemini => "contents",
            Responses => "input",
            _ => "messages",
        };
        let system = self.system.iter().filter(|_| dialect == Chat);
        let system = system.map(|text| json!({"role": "system", "content": text}));
        json[list] = system.chain(turns).collect::<Vec<_>>().into();
        self.write_tools(dialect, &mut json);
        self.write_settings(dialect, &mut json);
        json
    }

    fn write_tools(&self, dialect: Dialect, json: &mut Value) {
        if self.tools.is_empty() {
            return;
        }
        let tools: Vec<_> = self.tools.iter().map(|tool| tool.write(dialect)).collect();
        json["tools"] = match dialect {
            Gemini => json!([{"functionDeclarations": tools}]),
            _ => tools.into(),
        };
        let Some(choice) = &self.choice else { return };
        let (never, any) = match dialect {
            Messages => (json!({"type": "none"}), json!({"type": "any"})),
            Gemini => (json!({"mode": "NONE"}), json!({"mode": "ANY"})),
            _ => (json!("none"), json!("required")),
        };
        let choice = match (choice, dialect) {
            (Choice::Never, _) => never,
            (Choice::Any, _) => any,
            (Choice::Named(name), Messages) => json!({"type": "tool", "name": name}),
            (Choice::Named(name), Gemini) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
            (Choice::Named(name), Responses) => json!({"type": "function", "name": name}),
            (Choice::Named(name), _) => json!({"type": "function", "function": {"name": name}}),
        };
        match dialect {
            Gemini => json["toolConfig"] = json!({"functionCallingConfig": choice}),
            _ => json["tool_choice"] = choice,
        }
    }

    fn write_settings(&self, dialect: Dialect, json: &mut Value) {
        let hundredths = |of: u32| json!(f64::from(of) / 100.0);
        let (temperature, top_p) = (self.temperature.map(hundredths), self.top_p.map(hundredths));
        let stops = Some(json!(self.stops)).filter(|_| !self.stops.is_empty());
        let settings: Vec<(&str, Option<Value>)> = match dialect {
            Gemini => vec![(
                "generationConfig",
                Some(json!({"maxOutputTokens": self.cap})),
            )],
            Messages => vec![
                ("temperature", temperature.clone()),
                ("top_p", top_p.clone()),
                ("stop_sequences", stops.clone()),
            ],
            Responses => vec![
                ("temperature", temperature.clone()),
                ("top_p", top_p.clone()),
                (
                    "reasoning",
                    self.effort.map(|effort| json!({"effort": effort})),
                ),
                (
                    "text",
                    self.schema.as_ref().map(|schema| {
                        json!({"format":
                    {"type": "json_schema", "name": "answer", "schema": schema}})
                    }),
                ),
            ],
            _ => vec![
                ("temperature", temperature.clone()),
                ("top_p", top_p.clone()),
                ("stop", stops.clone()),
                ("reasoning_effort", self.effort.map(|effort| json!(effort))),
                (
                    "response_format",
                    self.schema.as_ref().map(|schema| {
                        json!({"type": "json_schema",
                    "json_schema": {"name": "answer", "schema": schema}})
                    }),
                ),
            ],
        };
        for (name, value) in settings {
            if let Some(value) = value {
                json[name] = value;
            }
        }
        if dialect == Messages && (self.effort.is_some() || self.schema.is_some()) {
            json["output_config"] = json!({});
            if let Some(effort) = self.effort {
                json["output_config"]["effort"] = json!(effort);
            }
            if let Some(schema) = &self.schema {
                json["output_config"]["format"] = json!({"type": "json_schema", "schema": schema});
            }
        }
        if dialect == Gemini {
            let config = &mut json["generationConfig"];
            for (name, value) in [
                ("temperature", temperature),
                ("topP", top_p),
                ("stopSequences", stops),
            ] {
                if let Some(value) = value {
                    config[name] = value;
                }
            }
            if let Some(effort) = self.effort {
                config["thinkingConfig"] = json!({"thinkingLevel": effort.to_uppercase()});
            }
            if let Some(schema) = &self.schema {
                config["responseMimeType"] = json!("application/json");
                config["responseJsonSchema"] = schema.clone();
            }
        }
    }
}

impl Tool {
    fn schema(&self) -> Value {
        let required = if self.required {
            json!(["q"])
        } else {
            json!([])
        };
        json!({"type": "object", "properties": {"q": {"type": "string"}}, "required": required})
    }

    fn write(&self, dialect: Dialect) -> Value {
        let mut tool = json!({"name": self.name});
        if let Some(description) = &self.description {
            tool["description"] = json!(description);
        }
        let schema = match dialect {
            Messages => "input_schema",
            Gemini => "parametersJsonSchema",
            _ => "parameters",
        };
        tool[schema] = self.schema();
        match dialect {
            Chat => json!({"type": "function", "function": tool}),
            Responses => {
                tool["type"] = json!("function");
                tool
            }
            _ => tool,
        }
    }
}

impl Part {
    fn write(&self, dialect: Dialect) -> Value {
        match (self, dialect) {
            (Self::Text(text), Gemini) => json!({"text": text}),
            (Self::Text(text), Responses) => json!({"type": "input_text", "text": text}),
            (Self::Text(text), _) => json!({"type": "text", "text": text}),
            (Self::Image(data), Gemini) => {
                json!({"inlineData": {"mimeType": "image/webp", "data": data}})
            }
            (Self::Image(data), Messages) => json!({"type": "image", "source":
                {"type": "base64", "media_type": "image/webp", "data": data}}),
            (Self::Image(data), Responses) => json!({"type": "input_image",
                "image_url": format!("data:image/webp;base64,{data}")}),
            (Self::Image(data), _) => json!({"type": "image_url",
                "image_url": {"url": format!("data:image/webp;base64,{data}")}}),
        }
    }
}

impl Call {
    fn arguments(&self) -> Value {
        json!({"q": self.text})
    }

    fn write(&self, dialect: Dialect) -> Value {
        let Self { id, name, .. } = self;
        match dialect {
            Messages => {
                json!({"type": "tool_use", "id": id, "name": name, "input": self.arguments()})
            }
            Gemini => json!({"functionCall": {"id": id, "name": name, "args": self.arguments()}}),
            Responses => json!({"type": "function_call", "call_id": id, "name": name,
                "arguments": self.arguments().to_string()}),
            _ => json!({"id": id, "type": "function",
                "function": {"name": name, "arguments": self.arguments().to_string()}}),
        }
    }

    fn write_result(&self, dialect: Dialect) -> Value {
        let Self { id, name, text } = self;
        match dialect {
            Messages => json!({"type": "tool_result", "tool_use_id": id, "content": text}),
            Gemini => {
                json!({"functionResponse": {"id": id, "name": name, "response": {"output": text}}})
            }
            Responses => json!({"type": "function_call_output", "call_id": id, "output": text}),
            _ => json!({"role": "tool", "tool_call_id": id, "content": text}),
        }
    }
}

impl Turn {
    /// The messages, contents or items that say it.
    fn write(&self, dialect: Dialect) -> Vec<Value> {
        match self {
            Self::User { results, parts } => {
                let results = results.iter().map(|result| result.write_result(dialect));
                let parts: Vec<_> = parts.iter().map(|part| part.write(dialect)).collect();
                match dialect {
                    Messages => vec![json!({"role": "user",
                        "content": results.chain(parts).collect::<Vec<_>>()})],
                    Gemini => vec![json!({"role": "user",
                        "parts": results.chain(parts).collect::<Vec<_>>()})],
                    _ => {
                        let said =
                            (!parts.is_empty()).then(|| json!({"role": "user", "content": parts}));
                        results.chain(said).collect()
                    }
                }
            }
            Self::Assistant {
                thought,
                text,
                calls,
            } => {
                let calls: Vec<_> = calls.iter().map(|call| call.write(dialect)).collect();
                let thought = thought.as_ref().map(|thought| match dialect {
                    Messages => json!({"type": "thinking", "thinking": thought, "signature": "c2ln"}),
                    Gemini => json!({"text": thought, "thought": true}),
                    _ => json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": thought}]}),
                });
                let said = text.as_ref().map(|text| match dialect {
                    Messages => json!({"type": "text", "text": text}),
                    Gemini => json!({"text": text}),
                    _ => json!({"role": "assistant", "content": [{"type": "output_text", "text": text}]}),
                });
                let all = thought.clone().into_iter().chain(said).chain(calls.clone());
                match dialect {
                    Messages => {
                        vec![json!({"role": "assistant", "content": all.collect::<Vec<_>>()})]
                    }
                    Gemini => vec![json!({"role": "model", "parts": all.collect::<Vec<_>>()})],
                    Responses => all.collect(),
                    _ => {
                        let mut message = json!({"role": "assistant", "content": text});
                        if !calls.is_empty() {
                            message["tool_calls"] = calls.into();
                        }
                        if let Some(thought) = thought {
                            message["reasoning_content"] = thought["summary"][0]["text"].clone();
                        }
                        vec![message]
                    }
                }
            }
        }
    }
}

/// A name of a tool, as results of two dialects do not have it.
pub(crate) fn call(id: &str, name: &str, text: &str) -> Call {
    Call {
        id: id.into(),
        name: name.into(),
        text: text.into(),
    }
}

impl Call {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

pub(crate) fn tool(name: &str, description: Option<&str>, schema: &Value) -> Tool {
    let tool = Tool {
        name: name.into(),
        description: description.map(str::to_owned),
        required: schema["required"] == json!(["q"]),
    };
    assert_eq!(*schema, tool.schema(), "a schema is not what it was");
    tool
}
