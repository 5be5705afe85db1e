//! Converse: the same for the models of every vendor.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{Events, Wire, list, model, whole_number},
    Event, PADDING, of_bedrock,
};
use crate::{
    ask::{Answer, Ask, prompt, tokens_of},
    route::Route,
};

#[derive(Debug)]
pub(crate) struct Converse;

impl Wire for Converse {
    of_bedrock!();

    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String> {
        let (tokens, last_user) = prompt(list(body, "messages")?, "content");
        Ok(Ask {
            model: model(route, body)?,
            stream: route.stream.unwrap_or(false),
            include_usage: true,
            running_usage: false,
            choices: 1,
            cap: whole_number(&body["inferenceConfig"], "maxTokens")?,
            prompt_tokens: tokens + tokens_of(&body["system"]),
            last_user,
            tool: body["toolConfig"]["tools"][0]["toolSpec"]["name"]
                .as_str()
                .map(str::to_owned),
        })
    }

    fn json(&self, answer: &Answer) -> String {
        let mut content = Vec::new();
        if !answer.reasoning.is_empty() {
            let text = json!({"text": answer.reasoning.concat(), "signature": SIGNATURE});
            content.push(json!({"reasoningContent": {"reasoningText": text}}));
        }
        if !answer.pieces.is_empty() {
            content.push(match &answer.tool {
                Some(name) => {
                    let mut call = tool_use(answer, name);
                    // a capped call has no whole input
                    call["toolUse"]["input"] =
                        serde_json::from_str(&answer.text()).unwrap_or_else(|_| json!({}));
                    call
                }
                None => json!({"text": answer.text()}),
            });
        }
        let mut whole = metadata(answer);
        whole["output"] = json!({"message": {"role": "assistant", "content": content}});
        whole["stopReason"] = stop_reason(answer).into();
        whole.to_string()
    }

    fn events(&self, answer: Answer) -> Events {
        let answer = Arc::new(answer);
        let start = event("messageStart", json!({"role": "assistant"}));
        let thoughts = answer.reasoning.len();
        let of = answer.clone();
        let thinking = (0..thoughts).map(move |at| {
            delta(0, json!({"reasoningContent": {"text": of.reasoning[at]}})).with_content()
        });
        let signed = (thoughts > 0).then(|| {
            [
                delta(0, json!({"reasoningContent": {"signature": SIGNATURE}})),
                stop(0),
            ]
        });
        let index = usize::from(thoughts > 0);
        // only the block of a tool has a start
        let opened = answer.tool.as_ref().map(|name| {
            let start = tool_use(&answer, name);
            event(
                "contentBlockStart",
                json!({"contentBlockIndex": index, "start": start}),
            )
        });
        let of = answer.clone();
        let pieces = (0..answer.pieces.len()).map(move |at| {
            let piece = &of.pieces[at];
            let piece = match of.tool {
                Some(_) => json!({"toolUse": {"input": piece}}),
                None => json!({"text": piece}),
            };
            delta(index, piece).with_content()
        });
        let has_content = !answer.pieces.is_empty();
        let end = [
            event("messageStop", json!({"stopReason": stop_reason(&answer)})),
            // the usage comes after the end
            event("metadata", metadata(&answer)),
        ];
        Box::new(
            std::iter::once(start)
                .chain(thinking)
                .chain(signed.into_iter().flatten())
                .chain(opened.filter(|_| has_content))
                .chain(pieces)
                .chain(has_content.then(|| stop(index)))
                .chain(end),
        )
    }
}

/// The signature of all reasoning.
const SIGNATURE: &str = "ZmFrZQ==";

fn stop_reason(answer: &Answer) -> &'static str {
    match (answer.capped, &answer.tool) {
        (true, _) => "max_tokens",
        (false, Some(_)) => "tool_use",
        (false, None) => "end_turn",
    }
}

fn event(name: &'static str, mut payload: Value) -> Event {
    payload["p"] = PADDING.into();
    Event::frame(name, payload.to_string())
}

fn delta(index: usize, delta: Value) -> Event {
    event(
        "contentBlockDelta",
        json!({"contentBlockIndex": index, "delta": delta}),
    )
}

fn stop(index: usize) -> Event {
    event("contentBlockStop", json!({"contentBlockIndex": index}))
}

fn tool_use(answer: &Answer, name: &str) -> Value {
    let id = format!("tooluse_fake_{}", answer.number);
    json!({"toolUse": {"toolUseId": id, "name": name}})
}

/// What is told of the whole call.
fn metadata(answer: &Answer) -> Value {
    let mut metadata = json!({"metrics": {"latencyMs": 1}});
    if answer.usage {
        let (input, output) = (answer.prompt_tokens, answer.deltas());
        metadata["usage"] = json!({
            "inputTokens": input,
            "outputTokens": output,
            "totalTokens": input + output,
            "cacheReadInputTokens": 0,
            "cacheWriteInputTokens": 0,
        });
    }
    metadata
}
