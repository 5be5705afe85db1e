//! Ollama's own API: one JSON text a line, and a stream unless one is not wanted.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};

use super::{Event, Events, Problem, Wire, flag, list, model, whole_number};
use crate::{
    ask::{Answer, Ask, prompt, tokens},
    behaviour::Shape,
    failure::{Failure, Kind},
    route::Route,
};

#[derive(Debug)]
pub(crate) struct Ollama {
    /// `/api/chat`, else `/api/generate`.
    pub(crate) chat: bool,
}

impl Wire for Ollama {
    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String> {
        let (prompt_tokens, last_user) = if self.chat {
            prompt(list(body, "messages")?, "content")
        } else {
            let text = body["prompt"].as_str().unwrap_or_default();
            (tokens(text), text.to_owned())
        };
        // -1 is no limit
        let cap = match &body["options"]["num_predict"] {
            Value::Number(number) if number.as_i64().is_some_and(|n| n < 0) => None,
            _ => whole_number(&body["options"], "num_predict")?,
        };
        Ok(Ask {
            model: model(route, body)?,
            stream: flag(body, "stream", true)?,
            include_usage: true,
            running_usage: false,
            choices: 1,
            cap,
            prompt_tokens,
            last_user,
            tool: body["tools"][0]["function"]["name"]
                .as_str()
                .map(str::to_owned),
        })
    }

    fn json(&self, answer: &Answer) -> String {
        let called = answer.tool.as_ref().filter(|_| self.chat);
        let text = answer.text();
        let mut whole = self.end(answer, if called.is_some() { "" } else { &text });
        if let Some(tool) = called {
            self.put(&mut whole, "tool_calls", calls(tool, answer));
        }
        if !answer.reasoning.is_empty() {
            self.put(&mut whole, "thinking", answer.reasoning.concat().into());
        }
        whole.to_string()
    }

    fn events(&self, answer: Answer) -> Events {
        let answer = Arc::new(answer);
        let this = Self { chat: self.chat };
        let end = line(&self.end(&answer, ""));
        let of = answer.clone();
        let thoughts = (0..answer.reasoning.len()).map(move |at| {
            let mut thought = this.message(&of, "");
            this.put(&mut thought, "thinking", of.reasoning[at].as_str().into());
            line(&thought).with_content()
        });
        let this = Self { chat: self.chat };
        let of = answer.clone();
        let pieces = (0..answer.pieces.len()).filter_map(move |at| match (&of.tool, this.chat) {
            // a call comes whole, with the last piece
            (Some(tool), true) if at + 1 == of.pieces.len() => {
                let mut call = this.message(&of, "");
                this.put(&mut call, "tool_calls", calls(tool, &of));
                Some(line(&call).with_content())
            }
            (Some(_), true) => None,
            _ => Some(line(&this.message(&of, &of.pieces[at])).with_content()),
        });
        Box::new(thoughts.chain(pieces).chain([end]))
    }

    fn ping(&self, _: &Shape) -> Option<Event> {
        None
    }

    fn models(&self, names: &[&str]) -> String {
        let all: Vec<_> = names
            .iter()
            .map(|name| json!({"name": name, "model": name}))
            .collect();
        json!({ "models": all }).to_string()
    }

    fn headers(&self, _: u64, _: bool, _: &mut HeaderMap) {}

    fn problem(&self, _: u64, failure: &Failure, padding: &str, _: &Shape) -> Problem {
        let (status, message) = match &failure.kind {
            Kind::RateLimited => (429, "too many requests"),
            Kind::Quota => (429, "you have reached your weekly usage limit"),
            Kind::Overloaded => (
                503,
                "server busy, please try again.  maximum pending requests exceeded",
            ),
            Kind::ContextTooLong => (400, "the input exceeds the available context size"),
            Kind::Invalid(message) => (400, message.as_str()),
            Kind::MissingKey => (401, "unauthorized"),
            Kind::UnknownPath(message) => (404, message.as_str()),
            Kind::Status(404) => (404, "model not found, try pulling it first"),
            Kind::Status(status) => (*status, "an error was encountered while running the model"),
        };
        let body = json!({"error": format!("{message}{padding}")}).to_string();
        Problem::new(status, body)
    }

    fn usual_failure(&self) -> Failure {
        Failure::status(500)
    }

    fn error_events(&self, problem: Problem, _: usize, _: &Shape) -> Vec<Event> {
        vec![Event::raw(format!("{}\n", problem.body))]
    }

    fn stream_type(&self, _: &Route) -> &'static str {
        "application/x-ndjson"
    }
}

impl Ollama {
    /// A line with this text.
    fn message(&self, answer: &Answer, text: &str) -> Value {
        let mut line = json!({
            "model": answer.model,
            "created_at": "2026-11-23T10:00:00Z",
            "done": false,
        });
        if self.chat {
            line["message"] = json!({"role": "assistant", "content": text});
        } else {
            line["response"] = text.into();
        }
        line
    }

    fn put(&self, line: &mut Value, name: &str, value: Value) {
        if self.chat {
            line["message"][name] = value;
        } else {
            line[name] = value;
        }
    }

    /// The last line.
    fn end(&self, answer: &Answer, text: &str) -> Value {
        let mut end = self.message(answer, text);
        end["done"] = true.into();
        end["done_reason"] = if answer.capped { "length" } else { "stop" }.into();
        end["total_duration"] = 300_000_000.into();
        if answer.usage {
            // what is zero is left out
            for (name, count) in [
                ("prompt_eval_count", answer.prompt_tokens),
                ("eval_count", answer.deltas()),
            ] {
                if count > 0 {
                    end[name] = count.into();
                }
            }
        }
        end
    }
}

fn calls(tool: &str, answer: &Answer) -> Value {
    // a capped call has no whole arguments
    let args: Value = serde_json::from_str(&answer.text()).unwrap_or_else(|_| json!({}));
    json!([{"function": {"name": tool, "arguments": args}}])
}

fn line(json: &Value) -> Event {
    Event::raw(format!("{json}\n"))
}
