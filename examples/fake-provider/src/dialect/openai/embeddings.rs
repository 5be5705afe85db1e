//! Embeddings: a few numbers for each text, never a stream.

use serde_json::{Value, json};

use super::{
    super::{Events, Wire, model},
    Event, of_openai, texts,
};
use crate::{
    ask::{Answer, Ask, tokens},
    route::Route,
};

#[derive(Debug)]
pub(crate) struct Embeddings;

impl Wire for Embeddings {
    of_openai!();

    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String> {
        let texts = texts(&body["input"]);
        if texts.is_empty() {
            return Err("input: a text is required".to_owned());
        }
        Ok(Ask {
            model: model(route, body)?,
            stream: false,
            include_usage: true,
            running_usage: false,
            choices: texts.len(),
            cap: None,
            prompt_tokens: texts.iter().map(|text| tokens(text)).sum(),
            last_user: String::new(),
            tool: None,
        })
    }

    fn json(&self, answer: &Answer) -> String {
        let data: Vec<_> = (0..answer.choices)
            .map(|index| {
                json!({"object": "embedding", "index": index, "embedding": [0.5, -0.25, 0.125]})
            })
            .collect();
        let mut json = json!({"object": "list", "data": data, "model": answer.model});
        if answer.usage {
            let tokens = answer.prompt_tokens;
            json["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        }
        json.to_string()
    }

    fn events(&self, answer: Answer) -> Events {
        // no request asks for a stream
        Box::new(std::iter::once(Event::data(self.json(&answer))))
    }
}
