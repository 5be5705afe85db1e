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
        let whole = response(&answer, true);
        // each with whether it carries content
        let mut events = vec![
            (
                json!({"type": "response.created", "response": begun}),
                false,
            ),
            (
                json!({"type": "response.in_progress", "response": begun}),
                false,
            ),
        ];
        for (index, item) in items(&answer).into_iter().enumerate() {
            let mut opened = item.clone();
            opened["status"] = "in_progress".into();
            let (kind, field, texts) = match item["type"].as_str() {
                Some("reasoning") => (
                    "response.reasoning_summary_text",
                    "summary",
                    &answer.reasoning,
                ),
                Some("function_call") => (
                    "response.function_call_arguments",
                    "arguments",
                    &answer.pieces,
                ),
                _ => ("response.output_text", "content", &answer.pieces),
            };
            opened[field] = if field == "arguments" {
                "".into()
            } else {
                json!([])
            };
            let of_item = |kind: &str, member: &str, value: Value| json!({"type": kind, "output_index": index, member: value});
            let of_text = |end: &str, member: &str, text: &str| {
                json!({
                    "type": format!("{kind}.{end}"),
                    "item_id": item["id"],
                    "output_index": index,
                    "content_index": 0,
                    member: text,
                })
            };
            events.push((of_item("response.output_item.added", "item", opened), false));
            events.extend(
                texts
                    .iter()
                    .map(|text| (of_text("delta", "delta", text), true)),
            );
            events.push((of_text("done", "text", &texts.concat()), false));
            events.push((
                of_item("response.output_item.done", "item", item.clone()),
                false,
            ));
        }
        let end = if answer.capped {
            "response.incomplete"
        } else {
            "response.completed"
        };
        events.push((json!({"type": end, "response": whole}), false));
        let numbered = events.into_iter().enumerate();
        Box::new(numbered.map(|(number, (mut event, content))| {
            event["sequence_number"] = number.into();
            let event = Event::named(name(&event), event.to_string());
            if content { event.with_content() } else { event }
        }))
    }

    fn error_events(&self, problem: Problem, _: bool, _: &Shape) -> Vec<Event> {
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
            "sequence_number": 0,
        });
        vec![Event::named("error", event.to_string())]
    }
}

/// The name of an event is its type.
fn name(event: &Value) -> &'static str {
    const NAMES: [&str; 12] = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_item.done",
        "response.incomplete",
        "response.completed",
    ];
    let name = event["type"].as_str().unwrap_or_default();
    NAMES
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or("message")
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
        "input_tokens_details": {"cached_tokens": 0},
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
        "output": if ended { items(answer) } else { Vec::new() },
        "usage": (ended && answer.usage).then_some(usage),
    })
}
