//! Gemini's `generateContent`: one answer, SSE with CR LF, or an array that is written bit by bit.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use serde_json::{Value, json};

use super::{Event, Events, Problem, Wire, choices, list, model, whole_number};
use crate::{
    ask::{Answer, Ask, prompt},
    behaviour::{LineEnd, Shape},
    failure::{Failure, Kind},
    route::Route,
};

#[derive(Debug)]
pub(crate) struct Gemini {
    /// A stream is one JSON array.
    pub(crate) array: bool,
}

impl Wire for Gemini {
    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String> {
        let (tokens, mut last_user) = prompt(list(body, "contents")?, "parts");
        if last_user.is_empty() {
            // a single turn needs no role
            last_user = prompt_without_role(&body["contents"]);
        }
        let system = &body["systemInstruction"];
        let (system, _) = prompt(std::slice::from_ref(system), "parts");
        let config = &body["generationConfig"];
        Ok(Ask {
            model: model(route, body)?,
            stream: route.stream.unwrap_or(false),
            include_usage: true,
            running_usage: true,
            choices: choices(config, "candidateCount")?,
            cap: whole_number(config, "maxOutputTokens")?,
            prompt_tokens: tokens + system,
            last_user,
            tool: body["tools"][0]["functionDeclarations"][0]["name"]
                .as_str()
                .map(str::to_owned),
        })
    }

    fn json(&self, answer: &Answer) -> String {
        let mut parts = Vec::new();
        if !answer.reasoning.is_empty() {
            parts.push(json!({"text": answer.reasoning.concat(), "thought": true}));
        }
        let last = answer.pieces.len().saturating_sub(1);
        parts.extend(part(answer, &answer.text(), last));
        let (thoughts, output) = (answer.reasoning.len(), answer.pieces.len());
        chunk(answer, parts, Some(finish_reason(answer)), thoughts, output).to_string()
    }

    fn events(&self, answer: Answer) -> Events {
        let answer = Arc::new(answer);
        let of = answer.clone();
        let (thoughts, pieces) = (answer.reasoning.len(), answer.pieces.len());
        let deltas = (0..thoughts + pieces).map(move |at| {
            let parts = match at.checked_sub(thoughts) {
                None => vec![json!({"text": of.reasoning[at], "thought": true})],
                Some(at) => part(&of, &of.pieces[at], at).into_iter().collect(),
            };
            let thought = thoughts.min(at + 1);
            chunk(&of, parts, None, thought, at + 1 - thought)
        });
        let parts = vec![json!({"text": ""})];
        let last = chunk(
            &answer,
            parts,
            Some(finish_reason(&answer)),
            thoughts,
            pieces,
        );
        if self.array {
            let elements = deltas
                .map(|chunk| (chunk, true))
                .chain([(last, false)])
                .enumerate()
                .map(|(at, (chunk, delta))| Event {
                    delta,
                    ..element(&format!("{chunk:#}"), at == 0)
                });
            return Box::new(elements.chain([Event::raw("\n]\n")]));
        }
        Box::new(
            deltas
                .map(|chunk| Event::data(chunk.to_string()).with_content())
                .chain([Event::data(last.to_string())]),
        )
    }

    fn ping(&self, _: &Shape) -> Option<Event> {
        None
    }

    fn models(&self, names: &[&str]) -> String {
        let all: Vec<_> = names
            .iter()
            .map(|name| json!({"name": format!("models/{name}"), "displayName": name}))
            .collect();
        json!({ "models": all }).to_string()
    }

    fn headers(&self, _: u64, _: bool, _: &mut HeaderMap) {}

    fn problem(&self, _: u64, failure: &Failure, padding: &str, _: &Shape) -> Problem {
        problem(failure, padding)
    }

    fn usual_failure(&self) -> Failure {
        Failure::overloaded()
    }

    fn error_events(&self, problem: Problem, before: usize, _: &Shape) -> Vec<Event> {
        if self.array {
            vec![element(&problem.body, before == 0), Event::raw("\n]\n")]
        } else {
            vec![Event::data(problem.body)]
        }
    }

    fn stream_type(&self, _: &Route) -> &'static str {
        if self.array {
            "application/json; charset=UTF-8"
        } else {
            "text/event-stream"
        }
    }

    fn line_end(&self) -> LineEnd {
        LineEnd::CrLf
    }
}

/// One element of the array, with what stands before it.
fn element(text: &str, first: bool) -> Event {
    Event::raw(format!("{}{text}", if first { "[" } else { ",\r\n" }))
}

fn prompt_without_role(contents: &Value) -> String {
    let mut all = contents.as_array().cloned().unwrap_or_default();
    for content in all.iter_mut().filter(|content| content["role"].is_null()) {
        content["role"] = "user".into();
    }
    prompt(&all, "parts").1
}

/// Text, or the call of a tool: that comes whole, so only its last piece has it.
fn part(answer: &Answer, text: &str, at: usize) -> Option<Value> {
    match &answer.tool {
        None => Some(json!({"text": text})),
        Some(tool) if at + 1 == answer.pieces.len() && !answer.capped => {
            let args: Value = serde_json::from_str(&answer.text()).unwrap_or_default();
            Some(json!({"functionCall": {"name": tool, "args": args}}))
        }
        Some(_) => None,
    }
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.capped { "MAX_TOKENS" } else { "STOP" }
}

/// A response with this usage so far, for each candidate.
fn chunk(
    answer: &Answer,
    parts: Vec<Value>,
    finish: Option<&str>,
    thoughts: usize,
    output: usize,
) -> Value {
    let candidates: Vec<_> = (0..answer.choices)
        .map(|index| {
            let mut candidate =
                json!({"content": {"role": "model", "parts": parts}, "index": index});
            if let Some(finish) = finish {
                candidate["finishReason"] = finish.into();
            }
            candidate
        })
        .collect();
    let mut chunk = json!({
        "candidates": candidates,
        "modelVersion": answer.model,
        "responseId": format!("resp_fake_{}", answer.number),
    });
    if answer.usage {
        let (thoughts, output) = (thoughts * answer.choices, output * answer.choices);
        let total = answer.prompt_tokens + thoughts + output;
        let mut usage = json!({});
        // what is zero is left out
        for (name, count) in [
            ("promptTokenCount", answer.prompt_tokens),
            ("candidatesTokenCount", output),
            ("thoughtsTokenCount", thoughts),
            ("totalTokenCount", total),
        ] {
            if count > 0 {
                usage[name] = count.into();
            }
        }
        chunk["usageMetadata"] = usage;
    }
    chunk
}

/// What Google calls it, in JSON and by its gRPC code.
pub(crate) struct Named<'a> {
    pub(crate) status: u16,
    pub(crate) name: &'static str,
    pub(crate) code: i32,
    pub(crate) message: &'a str,
}

pub(crate) fn named(kind: &Kind) -> Named<'_> {
    let (status, message) = match kind {
        Kind::RateLimited => (429, "Quota exceeded for metric: requests per minute."),
        Kind::Quota => (429, "You exceeded your current quota for the day."),
        Kind::Overloaded => (503, "The model is overloaded. Please try again later."),
        Kind::ContextTooLong => (
            400,
            "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        ),
        Kind::Invalid(message) => (400, message.as_str()),
        Kind::MissingKey => (401, "API key not valid. Please pass a valid API key."),
        Kind::UnknownPath(message) => (404, message.as_str()),
        Kind::Status(status @ 500..) => (*status, "An internal error has occurred."),
        Kind::Status(status) => (*status, "The request was refused."),
    };
    let (name, code) = match status {
        401 => ("UNAUTHENTICATED", 16),
        403 => ("PERMISSION_DENIED", 7),
        404 => ("NOT_FOUND", 5),
        409 => ("ABORTED", 10),
        429 => ("RESOURCE_EXHAUSTED", 8),
        499 => ("CANCELLED", 1),
        501 => ("UNIMPLEMENTED", 12),
        503 => ("UNAVAILABLE", 14),
        504 => ("DEADLINE_EXCEEDED", 4),
        500.. => ("INTERNAL", 13),
        _ => ("INVALID_ARGUMENT", 3),
    };
    Named {
        status,
        name,
        code,
        message,
    }
}

fn problem(failure: &Failure, padding: &str) -> Problem {
    let said = named(&failure.kind);
    let mut details = Vec::new();
    if failure.kind == Kind::Quota {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
        }));
    }
    if let Some(wait) = failure.retry_info() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": seconds(wait),
        }));
    }
    let error = json!({
        "code": said.status,
        "message": format!("{}{padding}", said.message),
        "status": said.name,
        "details": details,
    });
    Problem::new(said.status, json!({ "error": error }).to_string())
}

/// A duration as protobuf's JSON has it.
fn seconds(time: Duration) -> String {
    format!("{}.{:09}s", time.as_secs(), time.subsec_nanos())
}
