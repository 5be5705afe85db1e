//! Anthropic messages.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};

use super::{Event, Events, Problem, flag, model_and_messages, put, whole_number};
use crate::{
    ask::{Answer, Ask, prompt, quoted, tokens_of},
    clock,
    failure::Kind,
};

/// The signature of every thinking block.
const SIGNATURE: &str = "ZmFrZQ==";

pub(super) fn read(body: &Value) -> Result<Ask, String> {
    let (model, messages) = model_and_messages(body)?;
    let (tokens, last_user) = prompt(messages);
    let cap = whole_number(body, "max_tokens")?;
    if cap.is_none() {
        return Err("max_tokens: Field required".to_owned());
    }
    Ok(Ask {
        model,
        stream: flag(body, "stream")?,
        include_usage: true,
        choices: 1,
        cap,
        prompt_tokens: tokens + tokens_of(&body["system"]),
        last_user,
        tool: body["tools"][0]["name"].as_str().map(str::to_owned),
    })
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

pub(super) fn json(answer: &Answer) -> String {
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

pub(super) fn events(answer: Answer) -> Events {
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
        Event::named("message_stop", r#"{"type":"message_stop"}"#.into()),
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

pub(super) fn headers(number: u64, healthy: bool, headers: &mut HeaderMap) {
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

pub(super) fn models(names: &[&str]) -> String {
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

pub(super) fn problem(number: u64, kind: &Kind, padding: &str) -> Problem {
    let rate_limit = "rate_limit_error";
    let (status, error, message, details) = match kind {
        Kind::RateLimited => (
            429,
            rate_limit,
            "This request would exceed the input tokens per minute limit.",
            "",
        ),
        Kind::Quota => (
            429,
            rate_limit,
            "The organization has reached its monthly usage limit.",
            r#","details":{"error_code":"enforced_spend_limit_reached"}"#,
        ),
        Kind::Overloaded => (529, "overloaded_error", "Overloaded", ""),
        Kind::ContextTooLong => (
            400,
            "invalid_request_error",
            "prompt is too long: 210021 tokens > 200000 maximum",
            "",
        ),
        Kind::Invalid(message) => (400, "invalid_request_error", message.as_str(), ""),
        Kind::MissingKey => (401, "authentication_error", "invalid x-api-key", ""),
        Kind::UnknownPath(message) => (404, "not_found_error", message.as_str(), ""),
        Kind::Status(status) => {
            let (error, message) = match status {
                401 => ("authentication_error", "invalid x-api-key"),
                402 => ("billing_error", "Your credit balance is too low."),
                403 => ("permission_error", "Not permitted."),
                404 => ("not_found_error", "model: not found"),
                409 => ("conflict_error", "Conflict."),
                413 => ("request_too_large", "Request exceeds the maximum size"),
                504 => ("timeout_error", "Timed out."),
                503 | 529 => ("overloaded_error", "Overloaded"),
                500.. => ("api_error", "Internal server error"),
                _ => ("invalid_request_error", "The request was refused."),
            };
            (*status, error, message, "")
        }
    };
    let body = format!(
        r#"{{"type":"error","error":{{"type":"{error}","message":{}{details}}},"request_id":"{}"}}"#,
        quoted(&format!("{message}{padding}")),
        request_id(number),
    );
    Problem { status, body }
}
