//! An answer, written as OpenAI responses have it.

use std::sync::Arc;

use llm_exchange::Usage;
use serde_json::value::RawValue;

use crate::{
    answer::{Answer, End, Ended, Head, Whole},
    conversation::Echo,
    json::{Node, Object},
};

/// What every answer repeats of its request.
#[derive(Clone, Debug)]
pub(crate) struct Repeated {
    tools: Option<Box<RawValue>>,
    tool_choice: Option<Box<RawValue>>,
    parallel_calls: bool,
}

impl Repeated {
    pub(crate) fn new(echo: Echo<'_>) -> Arc<Self> {
        Arc::new(Self {
            tools: echo.tools.map(ToOwned::to_owned),
            tool_choice: echo.tool_choice.map(ToOwned::to_owned),
            parallel_calls: echo.parallel_calls.unwrap_or(true),
        })
    }
}

pub(crate) fn answer(head: &Head, repeated: &Repeated, mut said: Answer, end: &End) -> Vec<u8> {
    let pieces = std::mem::take(&mut said.choice(0).pieces);
    let items = pieces.into_iter().enumerate();
    let output =
        items.map(|(index, piece)| item(head, index as u64, piece, Some(COMPLETED)).into());
    let output = Node::List(output.collect());
    response(head, repeated, output, Some(end)).to_json()
}

pub(super) const COMPLETED: &str = "completed";
pub(super) const IN_PROGRESS: &str = "in_progress";

/// The answer at its beginning, or at its end.
pub(super) fn response<'a>(
    head: &'a Head,
    repeated: &'a Repeated,
    output: Node<'a>,
    end: Option<&End>,
) -> Object<'a> {
    let why = end.and_then(incomplete);
    let status = match (end, why) {
        (None, _) => IN_PROGRESS,
        (Some(_), None) => COMPLETED,
        (Some(_), Some(_)) => "incomplete",
    };
    let why = why.map_or(Node::Null, |reason| {
        Object::new().with("reason", reason).into()
    });
    let used = end.and_then(|end| end.usage);
    let tool_choice = repeated.tool_choice.as_deref();
    let tools = repeated.tools.as_deref();
    Object::new()
        .with("id", &*head.id)
        .with("object", "response")
        .with("created_at", head.created)
        .with("status", status)
        .with("error", Node::Null)
        .with("incomplete_details", why)
        .with("model", &*head.model)
        .with("output", output)
        .with("parallel_tool_calls", repeated.parallel_calls)
        .with("tool_choice", tool_choice.map_or("auto".into(), Node::from))
        .with("tools", tools.map_or(Node::List(Vec::new()), Node::from))
        .with("usage", used.map_or(Node::Null, |used| usage(used).into()))
}

/// Why the answer is not all there would have been; a refusal in words is a whole answer.
pub(super) fn incomplete(end: &End) -> Option<&'static str> {
    match end.choices.first()?.1 {
        Ended::Stop | Ended::Call | Ended::Refused => None,
        Ended::Length => Some("max_output_tokens"),
        Ended::Filtered => Some("content_filter"),
    }
}

/// An item of the output; without a status nothing of it has come yet.
pub(super) fn item(
    head: &Head,
    index: u64,
    piece: Whole,
    status: Option<&'static str>,
) -> Object<'static> {
    let id = item_id(head, index);
    let status_word = status.unwrap_or(IN_PROGRESS);
    let message = |part: Object<'static>| {
        let content = match status {
            Some(_) => vec![part.into()],
            None => Vec::new(),
        };
        Object::new()
            .with("id", id.clone())
            .with("type", "message")
            .with("status", status_word)
            .with("role", "assistant")
            .with("content", Node::List(content))
    };
    match piece {
        // of reasoning none comes here: see `Caller::shows_reasoning`
        Whole::Text(text) | Whole::Reasoning(text) => message(text_part(text)),
        Whole::Refusal(text) => message(refusal_part(text)),
        Whole::Call {
            id: call_id,
            name,
            arguments,
        } => Object::new()
            .with("id", id.clone())
            .with("type", "function_call")
            .with("status", status_word)
            .with("call_id", call_id)
            .with("name", name)
            .with("arguments", arguments),
    }
}

pub(super) fn item_id(head: &Head, index: u64) -> String {
    format!("item_{}_{index}", head.id)
}

pub(super) fn text_part(text: String) -> Object<'static> {
    Object::new()
        .with("type", "output_text")
        .with("text", text)
        .with("annotations", Node::List(Vec::new()))
        .with("logprobs", Node::List(Vec::new()))
}

pub(super) fn refusal_part(text: String) -> Object<'static> {
    Object::new().with("type", "refusal").with("refusal", text)
}

/// OpenAI's totals have everything in them.
fn usage(usage: Usage) -> Object<'static> {
    let written = usage.cache_write.saturating_add(usage.cache_write_long);
    let by_time = Object::new()
        .with("ttl_30m_tokens", usage.cache_write)
        .with("ttl_12h_tokens", usage.cache_write_long);
    let input = Object::new()
        .with("cached_tokens", usage.cached)
        .with("cache_write_tokens", written)
        .with("cache_write_tokens_details", by_time);
    let output = Object::new().with("reasoning_tokens", usage.reasoning);
    Object::new()
        .with("input_tokens", usage.input())
        .with("input_tokens_details", input)
        .with("output_tokens", usage.output())
        .with("output_tokens_details", output)
        .with("total_tokens", usage.total())
}
