//! The old completions: a prompt, and a text.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{Events, Wire, choices, flag, model, whole_number},
    CREATED, Event, finish_reason, of_openai, texts,
};
use crate::{
    ask::{Answer, Ask, tokens},
    route::Route,
};

#[derive(Debug)]
pub(crate) struct Completions;

impl Wire for Completions {
    of_openai!();

    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String> {
        let prompt = texts(&body["prompt"]).join(" ");
        Ok(Ask {
            model: model(route, body)?,
            stream: flag(body, "stream", false)?,
            include_usage: body["stream_options"]["include_usage"] == true,
            running_usage: false,
            choices: choices(body, "n")?,
            // as documented
            cap: Some(whole_number(body, "max_tokens")?.unwrap_or(16)),
            prompt_tokens: tokens(&prompt),
            last_user: prompt,
            tool: None,
        })
    }

    fn json(&self, answer: &Answer) -> String {
        let all = each(answer, &answer.text(), finish_reason(answer).into());
        let mut json = text_completion(answer, &all);
        if answer.usage {
            json["usage"] = usage(answer);
        }
        json.to_string()
    }

    fn events(&self, answer: Answer) -> Events {
        let answer = Arc::new(answer);
        let of = answer.clone();
        let deltas = (0..answer.pieces.len()).map(move |at| {
            let all = each(&of, &of.pieces[at], Value::Null);
            Event::data(text_completion(&of, &all).to_string()).with_content()
        });
        let finish = text_completion(&answer, &each(&answer, "", finish_reason(&answer).into()));
        let usage = (answer.include_usage && answer.usage).then(|| {
            let mut chunk = text_completion(&answer, &[]);
            chunk["usage"] = usage(&answer);
            Event::data(chunk.to_string())
        });
        Box::new(
            deltas
                .chain([Event::data(finish.to_string())])
                .chain(usage)
                .chain([Event::data("[DONE]")]),
        )
    }
}

fn each(answer: &Answer, text: &str, finish: Value) -> Vec<Value> {
    (0..answer.choices)
        .map(|index| {
            json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish})
        })
        .collect()
}

fn text_completion(answer: &Answer, choices: &[Value]) -> Value {
    json!({
        "id": format!("cmpl-fake-{}", answer.number),
        "object": "text_completion",
        "created": CREATED,
        "model": answer.model,
        "choices": choices,
    })
}

fn usage(answer: &Answer) -> Value {
    let (prompt, output) = (answer.prompt_tokens, answer.pieces.len() * answer.choices);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
    })
}
