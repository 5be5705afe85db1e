//! The Responses API: named events, each with its number, and the whole response in the last one.

use serde_json::{Value, json};

use super::{
    super::{Events, Wire, flag, model, whole_number},
    CREATED, Event, Problem, of_openai,
};
use crate::{
    ask::{Answer, Ask, prompt, tokens},
    behaviour::Shape,
    route::Route,
};

#[derive(Debug)]
pub(crate) struct Responses;

impl Wire for Responses {
    of_openai!();

    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String> {
        let (input, last_user) = match &body["input"] {
            Value::String(text) => (tokens(text), text.clone()),
            Value::Array(items) if !items.is_empty() => prompt(items, "content"),
            _ => return Err("input: a text or a list is required".to_owned()),
        };
        let instructions = body["instructions"].as_str().unwrap_or_default();
        Ok(Ask {
            model: model(route, body)?,
            stream: flag(body, "stream", false)?,
            include_usage: true,
            running_usage: false,
            choices: 1,
            cap: whole_number(body, "max_output_tokens")?,
            prompt_tokens: input + tokens(instructions),
            last_user,
            tool: body["tools"][0]["name"].as_str().map(str::to_owned),
        })
    }

    fn json(&self, answer: &Answer) -> String {
        response(answer, true).to_string()
    }

    fn events(&self, answer: Answer) -> Events {
        let begun = response(&answer, false);
        let mut events = Numbered::default();
        for name in ["response.created", "response.in_progress"] {
            events.push(name, json!({"response": begun}));
        }
        for (index, item) in items(&answer).into_iter().enumerate() {
            events.item(&item, index, &answer);
        }
        let end = if answer.capped {
            "response.incomplete"
        } else {
            "response.completed"
        };
        events.push(end, json!({"response": response(&answer, true)}));
        Box::new(events.0.into_iter())
    }

    fn error_events(&self, problem: Problem, before: usize, _: &Shape) -> Vec<Event> {
        // flat, unlike the body of an error answer
        let body: Value = serde_json::from_str(&problem.body).unwrap_or_default();
        let error = &body["error"];
        let code = if error["code"].is_null() {
            &error["type"]
        } else {
            &error["code"]
        };
        let event = json!({
            "type": "error",
            "code": code,
            "message": error["message"],
            "param": error["param"],
            "sequence_number": before,
        });
        vec![Event::named("error", event.to_string())]
    }
}

/// How the events of an item that has texts are called, and where in the item a text stands.
struct Names {
    added: Option<&'static str>,
    delta: &'static str,
    text_done: &'static str,
    done: Option<&'static str>,
    /// The member of an item in which its texts are.
    texts: &'static str,
    /// The member with the number of a text.
    place: Option<&'static str>,
    /// The member of the last event of a text.
    text: &'static str,
}

const REASONING: Names = Names {
    added: Some("response.reasoning_summary_part.added"),
    delta: "response.reasoning_summary_text.delta",
    text_done: "response.reasoning_summary_text.done",
    done: Some("response.reasoning_summary_part.done"),
    texts: "summary",
    place: Some("summary_index"),
    text: "text",
};

const MESSAGE: Names = Names {
    added: Some("response.content_part.added"),
    delta: "response.output_text.delta",
    text_done: "response.output_text.done",
    done: Some("response.content_part.done"),
    texts: "content",
    place: Some("content_index"),
    text: "text",
};

const CALL: Names = Names {
    added: None,
    delta: "response.function_call_arguments.delta",
    text_done: "response.function_call_arguments.done",
    done: None,
    texts: "arguments",
    place: None,
    text: "arguments",
};

/// The events of a stream, each with its type as its name and its number.
#[derive(Default)]
struct Numbered(Vec<Event>);

impl Numbered {
    fn event(&self, name: &'static str, mut event: Value) -> Event {
        event["type"] = name.into();
        event["sequence_number"] = self.0.len().into();
        Event::named(name, event.to_string())
    }

    fn push(&mut self, name: &'static str, event: Value) {
        self.0.push(self.event(name, event));
    }

    /// All about one item of the output.
    fn item(&mut self, item: &Value, index: usize, answer: &Answer) {
        let (names, texts) = match item["type"].as_str() {
            Some("reasoning") => (REASONING, &answer.reasoning),
            Some("function_call") => (CALL, &answer.pieces),
            _ => (MESSAGE, &answer.pieces),
        };
        let of_item = |item: &Value| json!({"output_index": index, "item": item});
        let of_text = |member: &str, value: Value| {
            let mut event = json!({"item_id": item["id"], "output_index": index, member: value});
            if let Some(place) = names.place {
                event[place] = 0.into();
            }
            // strict clients require them of a text
            if names.texts == MESSAGE.texts && member != "part" {
                event["logprobs"] = json!([]);
            }
            event
        };
        let mut opened = item.clone();
        opened["status"] = "in_progress".into();
        opened[names.texts] = match names.place {
            Some(_) => json!([]),
            None => "".into(),
        };
        self.push("response.output_item.added", of_item(&opened));
        let part = &item[names.texts][0];
        if let Some(added) = names.added {
            let mut empty = part.clone();
            empty["text"] = "".into();
            self.push(added, of_text("part", empty));
        }
        for text in texts {
            let event = self.event(names.delta, of_text("delta", text.as_str().into()));
            self.0.push(event.with_content());
        }
        self.push(names.text_done, of_text(names.text, texts.concat().into()));
        if let Some(done) = names.done {
            self.push(done, of_text("part", part.clone()));
        }
        self.push("response.output_item.done", of_item(item));
    }
}

fn items(answer: &Answer) -> Vec<Value> {
    let mut items = Vec::new();
    if !answer.reasoning.is_empty() {
        items.push(json!({
            "id": format!("rs_fake_{}", answer.number),
            "type": "reasoning",
            "status": "completed",
            "summary": [{"type": "summary_text", "text": answer.reasoning.concat()}],
        }));
    }
    if !answer.pieces.is_empty() {
        items.push(match &answer.tool {
            Some(tool) => json!({
                "id": format!("fc_fake_{}", answer.number),
                "type": "function_call",
                "status": "completed",
                "call_id": format!("call_fake_{}", answer.number),
                "name": tool,
                "arguments": answer.text(),
            }),
            None => json!({
                "id": format!("msg_fake_{}", answer.number),
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": answer.text(), "annotations": []}],
            }),
        });
    }
    items
}

/// The response as it is at its end, or before anything was generated.
fn response(answer: &Answer, ended: bool) -> Value {
    let capped = ended && answer.capped;
    let status = match (ended, capped) {
        (false, _) => "in_progress",
        (true, true) => "incomplete",
        (true, false) => "completed",
    };
    let (input, output) = (answer.prompt_tokens, answer.deltas());
    let usage = json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning.len()},
        "total_tokens": input + output,
    });
    json!({
        "id": format!("resp_fake_{}", answer.number),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": null,
        "incomplete_details": capped.then(|| json!({"reason": "max_output_tokens"})),
        "model": answer.model,
        "parallel_tool_calls": true,
        "tool_choice": "auto",
        "tools": [],
        "output": if ended { items(answer) } else { Vec::new() },
        "usage": (ended && answer.usage).then_some(usage),
    })
}
