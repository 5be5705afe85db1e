//! OpenAI's formats, and what the servers that copy them do differently.

mod chat;
mod completions;
mod embeddings;
mod problem;
mod responses;
mod servers;

use http::HeaderMap;
use serde_json::{Value, json};

pub use self::servers::Server;
pub(crate) use self::{
    chat::Chat, completions::Completions, embeddings::Embeddings, responses::Responses,
};
use super::{Event, Problem, put};
use crate::{ask::Answer, behaviour::Shape};

/// The time of every answer, so that answers are the same at any time.
const CREATED: u64 = 1_795_400_000;

/// The sign of life of a stream: a comment.
fn ping(shape: &Shape) -> Event {
    Event::comment(shape.server.comment())
}

fn finish_reason(answer: &Answer) -> &'static str {
    match (answer.capped, &answer.tool) {
        (true, _) => "length",
        (false, Some(_)) => "tool_calls",
        (false, None) => "stop",
    }
}

fn headers(number: u64, healthy: bool, headers: &mut HeaderMap) {
    put(headers, "x-request-id", &format!("req_fake_{number}"));
    put(headers, "openai-processing-ms", "1");
    put(headers, "openai-version", "2020-10-01");
    put(headers, "openai-organization", "org-fake");
    if healthy {
        put(headers, "x-ratelimit-limit-requests", "10000");
        put(headers, "x-ratelimit-remaining-requests", "9999");
        put(headers, "x-ratelimit-reset-requests", "6ms");
        put(headers, "x-ratelimit-limit-tokens", "2000000");
        put(headers, "x-ratelimit-remaining-tokens", "1999000");
        put(headers, "x-ratelimit-reset-tokens", "30ms");
    }
}

fn models(names: &[&str]) -> String {
    let all: Vec<_> = names
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "fake"}))
        .collect();
    json!({"object": "list", "data": all}).to_string()
}

/// The text of an `input` or `prompt`: one text, or several.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The parts of [`Wire`](super::Wire) that all of OpenAI's formats share.
macro_rules! of_openai {
    () => {
        fn ping(&self, shape: &crate::behaviour::Shape) -> Option<super::Event> {
            Some(super::ping(shape))
        }

        fn models(&self, names: &[&str]) -> String {
            super::models(names)
        }

        fn headers(&self, number: u64, healthy: bool, headers: &mut http::HeaderMap) {
            super::headers(number, healthy, headers);
        }

        fn problem(
            &self,
            _: u64,
            failure: &crate::failure::Failure,
            padding: &str,
            shape: &crate::behaviour::Shape,
        ) -> super::Problem {
            super::problem::problem(failure, padding, shape.server)
        }

        fn usual_failure(&self) -> crate::failure::Failure {
            crate::failure::Failure::status(500)
        }
    };
}
use of_openai;
