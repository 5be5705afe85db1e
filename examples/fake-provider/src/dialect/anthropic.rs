//! Anthropic messages.

mod problem;

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};

use super::{Event, Events, Problem, Wire, flag, list, model, put, whole_number};
use crate::{
    ask::{Answer, Ask, prompt, quoted, tokens_of},
    behaviour::Shape,
    clock,
    failure::Failure,
    route::Route,
};

/// The signature of every thinking block.
const SIGNATURE: &str = "ZmFrZQ==";

#[derive(Debug)]
pub(crate) struct Anthropic;

impl Wire for Anthropic {
    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String> {
        let model = model(route, body)?;
        let (tokens, last_user) = prompt(list(body, "messages")?, "content");
        let cap = whole_number(body, "max_tokens")?;
        if cap.is_none() {
            return Err("max_tokens: Field required".to_owned());
        }
        Ok(Ask {
            model,
            stream: flag(body, "stream", route.stream.unwrap_or(false))?,
            include_usage: true,
            running_usage: false,
            choices: 1,
            cap,
            prompt_tokens: tokens + tokens_of(&body["system"]),
            last_user,
            tool: body["tools"][0]["name"].as_str().map(str::to_owned),
        })
    }

    fn json(&self, answer: &Answer) -> String {
        json(answer)
    }

    fn events(&self, answer: Answer) -> Events {
        events(answer)
    }

    fn ping(&self, _: &Shape) -> Option<Event> {
        Some(Event::named("ping", r#"{"type":"ping"}"#))
    }

    fn models(&self, names: &[&str]) -> String {
        models(names)
    }

    fn headers(&self, number: u64, healthy: bool, into: &mut HeaderMap) {
        headers(number, healthy, into);
    }

    fn problem(&self, number: u64, failure: &Failure, padding: &str, _: &Shape) -> Problem {
        problem::problem(number, &failure.kind, padding)
    }

    fn usual_failure(&self) -> Failure {
        Failure::overloaded()
    }

    fn error_events(&self, problem: Problem, _: usize, _: &Shape) -> Vec<Event> {
        vec![Event::named("error", problem.body)]
    }
}

fn stop_reason(answer: &Answer) -> &'static str {
    match (answer.capped, &answer.tool) {
        (true, _) => "max_tokens",
        (false, Some(_)) => "tool_use",
        (false, None) => "end_turn",
    }
}

/// `"usage":{...}` with the comma before it, or nothing.
fn usage(answer: &Answer, output_tokens: usize) -> String {
    if !answer.usage {
        return String::new();
    }
    format!(
        r#","usage":{{"input_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}},"output_tokens":{output_tokens},"service_tier":"standard"}}"#,
        answer.prompt_tokens
    )
}

/// The message up to its usage.
fn message(answer: &Answer, content: &str, stop_reason: &str, output_tokens: usize) -> String {
    format!(
        r#"{{"id":"msg_fake_{}","type":"message","role":"assistant","model":{},"content":[{content}],"stop_reason":{stop_reason},"stop_sequence":null{}}}"#,
        answer.number,
        quoted(&answer.model),
        usage(answer, output_tokens),
    )
}

fn tool_use(answer: &Answer, name: &str, input: &str) -> String {
    format!(
        r#"{{"type":"tool_use","id":"toolu_fake_{}","name":{},"input":{input}}}"#,
        answer.number,
        quoted(name)
    )
}

fn json(answer: &Answer) -> String {
    let mut content = Vec::new();
    if !answer.reasoning.is_empty() {
        let thinking = quoted(&answer.reasoning.concat());
        content.push(format!(
            r#"{{"type":"thinking","thinking":{thinking},"signature":"{SIGNATURE}"}}"#
        ));
    }
    if !answer.pieces.is_empty() {
        let text = answer.text();
        content.push(match &answer.tool {
            // a capped call has no whole input
            Some(name) => tool_use(answer, name, if answer.capped { "{}" } else { &text }),
            None => format!(r#"{{"type":"text","text":{}}}"#, quoted(&text)),
        });
    }
    message(
        answer,
        &content.join(","),
        &quoted(stop_reason(answer)),
        answer.deltas(),
    )
}

fn delta(index: usize, delta: &str) -> Event {
    Event::named(
        "content_block_delta",
        format!(r#"{{"type":"content_block_delta","index":{index},"delta":{{{delta}}}}}"#),
    )
}

/// A content block: its start, its deltas, its stop; nothing if it has no delta.
fn block(
    answer: &Arc<Answer>,
    index: usize,
    start: &str,
    count: usize,
    text: impl Fn(&Answer, usize) -> String + Send + 'static,
    last: Option<Event>,
) -> impl Iterator<Item = Event> + Send + 'static {
    let start =
        format!(r#"{{"type":"content_block_start","index":{index},"content_block":{start}}}"#);
    let stop = format!(r#"{{"type":"content_block_stop","index":{index}}}"#);
    let there = count > 0;
    let answer = answer.clone();
    let deltas = (0..count).map(move |at| delta(index, &text(&answer, at)).with_content());
    there
        .then(|| Event::named("content_block_start", start))
        .into_iter()
        .chain(deltas)
        .chain(last.filter(|_| there))
        .chain(there.then(|| Event::named("content_block_stop", stop)))
}

fn events(answer: Answer) -> Events {
    let answer = Arc::new(answer);
    let start = message(&answer, "", "null", 1);
    let start = Event::named(
        "message_start",
        format!(r#"{{"type":"message_start","message":{start}}}"#),
    );
    let thinking = block(
        &answer,
        0,
        r#"{"type":"thinking","thinking":"","signature":""}"#,
        answer.reasoning.len(),
        |answer, at| {
            format!(
                r#""type":"thinking_delta","thinking":{}"#,
                quoted(&answer.reasoning[at])
            )
        },
        Some(delta(
            0,
            &format!(r#""type":"signature_delta","signature":"{SIGNATURE}""#),
        )),
    );
    let opening = match &answer.tool {
        Some(name) => tool_use(&answer, name, "{}"),
        None => r#"{"type":"text","text":""}"#.into(),
    };
    let content = block(
        &answer,
        usize::from(!answer.reasoning.is_empty()),
        &opening,
        answer.pieces.len(),
        |answer, at| {
            let piece = quoted(&answer.pieces[at]);
            match answer.tool {
                Some(_) => format!(r#""type":"input_json_delta","partial_json":{piece}"#),
                None => format!(r#""type":"text_delta","text":{piece}"#),
            }
        },
        None,
    );
    let usage = if answer.usage {
        format!(
            r#","usage":{{"output_tokens":{},"output_tokens_details":{{"thinking_tokens":{}}}}}"#,
            answer.deltas(),
            answer.reasoning.len()
        )
    } else {
        String::new()
    };
    let end = format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{}","stop_sequence":null}}{usage}}}"#,
        stop_reason(&answer)
    );
    let end = [
        Event::named("message_delta", end),
        Event::named("message_stop", r#"{"type":"message_stop"}"#),
    ];
    Box::new(
        std::iter::once(start)
            .chain(thinking)
            .chain(content)
            .chain(end),
    )
}

fn request_id(number: u64) -> String {
    format!("req_fake_{number}")
}

fn headers(number: u64, healthy: bool, headers: &mut HeaderMap) {
    put(headers, "request-id", &request_id(number));
    put(headers, "anthropic-organization-id", "org_fake");
    if healthy {
        put(headers, "anthropic-ratelimit-requests-limit", "4000");
        put(headers, "anthropic-ratelimit-requests-remaining", "3999");
        put(
            headers,
            "anthropic-ratelimit-requests-reset",
            &clock::rfc3339(0),
        );
        put(headers, "anthropic-ratelimit-input-tokens-limit", "400000");
        put(
            headers,
            "anthropic-ratelimit-input-tokens-remaining",
            "399000",
        );
        put(
            headers,
            "anthropic-ratelimit-input-tokens-reset",
            &clock::rfc3339(1),
        );
    }
}

fn models(names: &[&str]) -> String {
    let all: Vec<_> = names
        .iter()
        .map(|id| {
            json!({
                "type": "model",
                "id": id,
                "display_name": id,
                "created_at": "2026-11-23T10:00:00Z",
            })
        })
        .collect();
    let (first, last) = (names.first(), names.last());
    json!({"data": all, "has_more": false, "first_id": first, "last_id": last}).to_string()
}
