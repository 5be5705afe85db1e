//! An answer, written as a chat completion.

use crate::{
    answer::{Answer, End, Ended, Head, Whole},
    json::{Node, Object},
};
use llm_exchange::Usage;

pub(crate) fn answer(head: &Head, mut said: Answer, end: &End) -> Vec<u8> {
    let choices = end.choices.iter().map(|(number, ended)| {
        let choice = said.choice(*number);
        let text = choice.all(|piece| match piece {
            Whole::Text(text) => Some(text),
            _ => None,
        });
        let reasoning = choice.all(|piece| match piece {
            Whole::Reasoning(text) => Some(text),
            _ => None,
        });
        let refusal = choice.all(|piece| match piece {
            Whole::Refusal(text) => Some(text),
            _ => None,
        });
        let calls: Vec<_> = std::mem::take(&mut choice.pieces)
            .into_iter()
            .filter_map(|piece| match piece {
                Whole::Call {
                    id,
                    name,
                    arguments,
                } => Some(call(id, name, arguments)),
                _ => None,
            })
            .collect();
        let message = Object::new()
            .with("role", "assistant")
            .with("content", or_null(text))
            .with("refusal", or_null(refusal))
            .maybe("reasoning_content", reasoning)
            .maybe(
                "tool_calls",
                (!calls.is_empty()).then(|| calls.into_iter().collect::<Node<'_>>()),
            );
        Object::new()
            .with("index", *number)
            .with("message", message)
            .with("logprobs", Node::Null)
            .with("finish_reason", finish_reason(*ended))
    });
    let choices: Node<'_> = choices.collect();
    Object::new()
        .with("id", &*head.id)
        .with("object", "chat.completion")
        .with("created", head.created)
        .with("model", &*head.model)
        .with("choices", choices)
        .maybe("usage", end.usage.map(usage))
        .to_json()
}

fn call(id: String, name: String, arguments: String) -> Object<'static> {
    let function = Object::new()
        .with("name", name)
        .with("arguments", arguments);
    Object::new()
        .with("id", id)
        .with("type", "function")
        .with("function", function)
}

fn or_null(text: Option<String>) -> Node<'static> {
    text.map_or(Node::Null, Node::from)
}

pub(super) const fn finish_reason(ended: Ended) -> &'static str {
    match ended {
        Ended::Stop | Ended::Refused => "stop",
        Ended::Call => "tool_calls",
        Ended::Length => "length",
        Ended::Filtered => "content_filter",
    }
}

/// OpenAI's totals have everything in them.
pub(super) fn usage(usage: Usage) -> Object<'static> {
    let written = usage.cache_write.saturating_add(usage.cache_write_long);
    let prompt = Object::new()
        .with("cached_tokens", usage.cached)
        .with("cache_write_tokens", written)
        .with("audio_tokens", usage.audio_input);
    let completion = Object::new()
        .with("reasoning_tokens", usage.reasoning)
        .with("audio_tokens", usage.audio_output);
    Object::new()
        .with("prompt_tokens", usage.input())
        .with("completion_tokens", usage.output())
        .with("total_tokens", usage.total())
        .with("prompt_tokens_details", prompt)
        .with("completion_tokens_details", completion)
}
