//! An answer, written as an Anthropic message.

use llm_exchange::Usage;

use crate::{
    answer::{Answer, End, Ended, Head, Whole, arguments},
    error::Unsaid,
    json::{Node, Object},
};

/// # Errors
///
/// A call whose arguments are no object.
pub(crate) fn answer(head: &Head, mut said: Answer, end: &End) -> Result<Vec<u8>, Unsaid> {
    let pieces = std::mem::take(&mut said.choice(0).pieces);
    let mut content = Vec::new();
    for piece in pieces {
        content.push(Node::Object(match piece {
            // of reasoning none comes here: see `Caller::shows_reasoning`
            Whole::Text(text) | Whole::Refusal(text) | Whole::Reasoning(text) => text_block(text),
            Whole::Call {
                id,
                name,
                arguments: json,
            } => Object::new()
                .with("type", "tool_use")
                .with("id", id)
                .with("name", name)
                .with("input", arguments(&json).ok_or(Unsaid::Arguments)?),
        }));
    }
    let ended = end.choices.first().map(|(_, ended)| *ended);
    let message = message(head)
        .with("content", Node::List(content))
        .with(
            "stop_reason",
            ended.map_or(Node::Null, |ended| stop_reason(ended).into()),
        )
        .with("stop_sequence", Node::Null)
        .with("usage", usage(end.usage.unwrap_or_default()));
    Ok(message.to_json())
}

/// The fields that a message begins with.
pub(super) fn message(head: &Head) -> Object<'_> {
    Object::new()
        .with("id", &*head.id)
        .with("type", "message")
        .with("role", "assistant")
        .with("model", &*head.model)
}

fn text_block(text: String) -> Object<'static> {
    Object::new().with("type", "text").with("text", text)
}

/// Which stop sequence it was is not known elsewhere, nor whether it was one.
pub(super) const fn stop_reason(ended: Ended) -> &'static str {
    match ended {
        Ended::Stop => "end_turn",
        Ended::Call => "tool_use",
        Ended::Length => "max_tokens",
        Ended::Filtered | Ended::Refused => "refusal",
    }
}

/// Anthropic's counts of the prompt stand beside each other.
pub(super) fn usage(usage: Usage) -> Object<'static> {
    let written = usage.cache_write.saturating_add(usage.cache_write_long);
    let mut object = Object::new()
        .with(
            "input_tokens",
            usage.uncached.saturating_add(usage.audio_input),
        )
        .with("cache_creation_input_tokens", written)
        .with("cache_read_input_tokens", usage.cached);
    if written > 0 {
        let by_time = Object::new()
            .with("ephemeral_5m_input_tokens", usage.cache_write)
            .with("ephemeral_1h_input_tokens", usage.cache_write_long);
        object.set("cache_creation", by_time);
    }
    object.set("output_tokens", usage.output());
    if usage.reasoning > 0 {
        let details = Object::new().with("thinking_tokens", usage.reasoning);
        object.set("output_tokens_details", details);
    }
    object
}
