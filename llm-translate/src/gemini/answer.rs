//! An answer, written as Gemini's.

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
    let mut candidates = Vec::new();
    for (number, ended) in &end.choices {
        let pieces = std::mem::take(&mut said.choice(*number).pieces);
        let parts = pieces.into_iter().map(|piece| match piece {
            Whole::Text(text) | Whole::Refusal(text) => Ok(text_part(text)),
            Whole::Reasoning(text) => Ok(thought(text)),
            Whole::Call {
                id,
                name,
                arguments,
            } => call(id, name, &arguments),
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        candidates.push(candidate(*number, parts, Some(*ended)));
    }
    Ok(chunk(head, candidates, end.usage).to_json())
}

/// An answer, or a piece of one.
pub(super) fn chunk<'a>(
    head: &'a Head,
    candidates: Vec<Object<'a>>,
    used: Option<Usage>,
) -> Object<'a> {
    let candidates: Node<'_> = candidates.into_iter().collect();
    Object::new()
        .with("candidates", candidates)
        .maybe("usageMetadata", used.map(usage))
        .with("modelVersion", &*head.model)
        .with("responseId", &*head.id)
}

pub(super) fn candidate(
    number: u64,
    parts: Vec<Object<'static>>,
    ended: Option<Ended>,
) -> Object<'static> {
    let parts: Node<'_> = parts.into_iter().collect();
    let content = Object::new().with("parts", parts).with("role", "model");
    Object::new()
        .with("content", content)
        .maybe("finishReason", ended.map(finish_reason))
        .with("index", number)
}

pub(super) fn text_part(text: String) -> Object<'static> {
    Object::new().with("text", text)
}

pub(super) fn thought(text: String) -> Object<'static> {
    text_part(text).with("thought", true)
}

pub(super) fn call(id: String, name: String, json: &str) -> Result<Object<'static>, Unsaid> {
    let function = Object::new()
        .with("id", id)
        .with("name", name)
        .with("args", arguments(json).ok_or(Unsaid::Arguments)?);
    Ok(Object::new().with("functionCall", function))
}

/// Calls end like any other answer.
const fn finish_reason(ended: Ended) -> &'static str {
    match ended {
        Ended::Stop | Ended::Call => "STOP",
        Ended::Length => "MAX_TOKENS",
        Ended::Filtered | Ended::Refused => "SAFETY",
    }
}

/// Thoughts are counted beside what is shown.
fn usage(usage: Usage) -> Object<'static> {
    let shown = usage.output().saturating_sub(usage.reasoning);
    let mut object = Object::new().with("promptTokenCount", usage.input());
    for (name, count) in [
        ("cachedContentTokenCount", usage.cached),
        ("candidatesTokenCount", shown),
        ("thoughtsTokenCount", usage.reasoning),
    ] {
        // what is 0 is not said
        if count > 0 {
            object.set(name, count);
        }
    }
    object.with("totalTokenCount", usage.total())
}
