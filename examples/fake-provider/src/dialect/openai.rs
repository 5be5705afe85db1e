//! OpenAI chat completions.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};

use super::{Event, Events, Problem, flag, model_and_messages, put, whole_number};
use crate::{
    ask::{Answer, Ask, prompt, quoted},
    failure::Kind,
};

/// The time of every answer, so that answers are the same at any time.
const CREATED: u64 = 1_795_400_000;

pub(super) fn read(body: &Value) -> Result<Ask, String> {
    let (model, messages) = model_and_messages(body)?;
    let (prompt_tokens, last_user) = prompt(messages);
    let choices = whole_number(body, "n")?.unwrap_or(1);
    if !(1..=128).contains(&choices) {
        return Err("n: 1 to 128 is possible".to_owned());
    }
    let cap = whole_number(body, "max_completion_tokens")?.or(whole_number(body, "max_tokens")?);
    if cap == Some(0) {
        return Err("max_tokens: at least 1 is required".to_owned());
    }
    Ok(Ask {
        model,
        stream: flag(body, "stream")?,
        include_usage: body["stream_options"]["include_usage"] == true,
        choices,
        cap,
        prompt_tokens,
        last_user,
        tool: body["tools"][0]["function"]["name"]
            .as_str()
            .map(str::to_owned),
    })
}

fn id(answer: &Answer) -> String {
    format!("chatcmpl-fake-{}", answer.number)
}

fn call_id(answer: &Answer, index: usize) -> String {
    format!("call_fake_{}_{index}", answer.number)
}

fn finish_reason(answer: &Answer) -> &'static str {
    match (answer.capped, &answer.tool) {
        (true, _) => "length",
        (false, Some(_)) => "tool_calls",
        (false, None) => "stop",
    }
}

fn usage(answer: &Answer) -> String {
    let prompt = answer.prompt_tokens;
    let reasoning = answer.reasoning.len() * answer.choices;
    let completion = answer.deltas() * answer.choices;
    format!(
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{reasoning}}}}}"#,
        prompt + completion
    )
}

pub(super) fn json(answer: &Answer) -> String {
    let text = quoted(&answer.text());
    let choices: Vec<_> = (0..answer.choices)
        .map(|index| {
            let message = match &answer.tool {
                Some(name) => format!(
                    r#""content":null,"refusal":null,"tool_calls":[{{"id":"{}","type":"function","function":{{"name":{},"arguments":{text}}}}}]"#,
                    call_id(answer, index),
                    quoted(name),
                ),
                None => format!(r#""content":{text},"refusal":null,"annotations":[]"#),
            };
            let reasoning = if answer.reasoning.is_empty() {
                String::new()
            } else {
                format!(r#","reasoning_content":{}"#, quoted(&answer.reasoning.concat()))
            };
            format!(
                r#"{{"index":{index},"message":{{"role":"assistant",{message}{reasoning}}},"logprobs":null,"finish_reason":"{}"}}"#,
                finish_reason(answer)
            )
        })
        .collect();
    let usage = if answer.usage {
        format!(r#","usage":{}"#, usage(answer))
    } else {
        String::new()
    };
    format!(
        r#"{{"id":"{}","object":"chat.completion","created":{CREATED},"model":{},"choices":[{}]{usage},"service_tier":"default","system_fingerprint":"fp_fake"}}"#,
        id(answer),
        quoted(&answer.model),
        choices.join(","),
    )
}

/// A chunk; `usage` stands in the place where the usage goes.
fn chunk(answer: &Answer, choices: &str, usage: &str) -> Event {
    Event::data(format!(
        r#"{{"id":"{}","object":"chat.completion.chunk","created":{CREATED},"model":{},"service_tier":"default","system_fingerprint":"fp_fake","choices":[{choices}]{usage}}}"#,
        id(answer),
        quoted(&answer.model),
    ))
}

fn choice(answer: &Answer, index: usize, delta: &str, finish: &str) -> Event {
    let choice = format!(
        r#"{{"index":{index},"delta":{{{delta}}},"logprobs":null,"finish_reason":{finish}}}"#
    );
    let asked = answer.include_usage && answer.usage;
    chunk(answer, &choice, if asked { r#","usage":null"# } else { "" })
}

/// One event for each choice.
fn each(
    answer: &Arc<Answer>,
    event: impl Fn(&Answer, usize) -> Event + Send + 'static,
) -> impl Iterator<Item = Event> + Send + 'static {
    let answer = answer.clone();
    (0..answer.choices).map(move |index| event(&answer, index))
}

/// One event for each choice and delta; only the first choice's counts as a delta.
fn deltas(
    answer: &Arc<Answer>,
    count: usize,
    delta: impl Fn(&Answer, usize) -> String + Send + Sync + 'static,
) -> impl Iterator<Item = Event> + Send + 'static {
    let answer = answer.clone();
    (0..count * answer.choices).map(move |at| {
        let (delta, index) = (delta(&answer, at / answer.choices), at % answer.choices);
        let event = choice(&answer, index, &delta, "null");
        if index == 0 {
            event.with_content()
        } else {
            event
        }
    })
}

pub(super) fn events(answer: Answer) -> Events {
    let answer = Arc::new(answer);
    let opening = each(&answer, |answer, index| {
        let delta = match &answer.tool {
            Some(name) => format!(
                r#""role":"assistant","content":null,"tool_calls":[{{"index":0,"id":"{}","type":"function","function":{{"name":{},"arguments":""}}}}]"#,
                call_id(answer, index),
                quoted(name),
            ),
            None => r#""role":"assistant","content":"","refusal":null"#.into(),
        };
        choice(answer, index, &delta, "null")
    });
    let reasoning = deltas(&answer, answer.reasoning.len(), |answer, at| {
        format!(r#""reasoning_content":{}"#, quoted(&answer.reasoning[at]))
    });
    let content = deltas(&answer, answer.pieces.len(), |answer, at| {
        let piece = quoted(&answer.pieces[at]);
        match answer.tool {
            Some(_) => {
                format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":{piece}}}}}]"#)
            }
            None => format!(r#""content":{piece}"#),
        }
    });
    let finish = each(&answer, |answer, index| {
        choice(answer, index, "", &quoted(finish_reason(answer)))
    });
    let usage = (answer.include_usage && answer.usage)
        .then(|| chunk(&answer, "", &format!(r#","usage":{}"#, usage(&answer))));
    let done = std::iter::once(Event::data("[DONE]".into()));
    Box::new(
        opening
            .chain(reasoning)
            .chain(content)
            .chain(finish)
            .chain(usage)
            .chain(done),
    )
}

pub(super) fn headers(number: u64, healthy: bool, headers: &mut HeaderMap) {
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

pub(super) fn models(names: &[&str]) -> String {
    let all: Vec<_> = names
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "fake"}))
        .collect();
    json!({"object": "list", "data": all}).to_string()
}

pub(super) fn problem(kind: &Kind, padding: &str) -> Problem {
    let invalid = "invalid_request_error";
    let (status, kind, param, code, message) = match kind {
        Kind::RateLimited => (
            429,
            "tokens",
            None,
            Some("rate_limit_exceeded"),
            "Rate limit reached for the fake model on tokens per min (TPM): Limit 2000000, Used 1999000, Requested 9000.",
        ),
        Kind::Quota => (
            429,
            "insufficient_quota",
            None,
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details.",
        ),
        Kind::Overloaded => (
            503,
            "service_unavailable_error",
            None,
            Some("server_is_overloaded"),
            "The model is currently overloaded.",
        ),
        Kind::ContextTooLong => (
            400,
            invalid,
            Some("messages"),
            Some("context_length_exceeded"),
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130021 tokens.",
        ),
        Kind::Invalid(message) => (400, invalid, None, None, message.as_str()),
        Kind::MissingKey => (
            401,
            invalid,
            None,
            Some("invalid_api_key"),
            "Incorrect API key provided.",
        ),
        Kind::UnknownPath(message) => (404, invalid, None, None, message.as_str()),
        Kind::Status(status @ 500..) => (
            *status,
            "server_error",
            None,
            None,
            "The server had an error while processing your request.",
        ),
        Kind::Status(status) => {
            let code = match status {
                401 => Some("invalid_api_key"),
                404 => Some("model_not_found"),
                _ => None,
            };
            (*status, invalid, None, code, "The request was refused.")
        }
    };
    let text = |value: Option<&str>| value.map_or_else(|| "null".to_owned(), quoted);
    let body = format!(
        r#"{{"error":{{"message":{},"type":"{kind}","param":{},"code":{}}}}}"#,
        quoted(&format!("{message}{padding}")),
        text(param),
        text(code),
    );
    Problem { status, body }
}
