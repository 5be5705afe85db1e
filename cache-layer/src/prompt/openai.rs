//! The stable prefix of an OpenAI prompt, and its key.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_cache_key: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// The hash of a prompt's stable prefix (tools, instructions, and what system and developer say before
/// anybody else) and an estimate of its tokens. `None`: it can't
/// be read, or has a key of the caller's.
pub(super) fn prefix(body: &[u8], mut hasher: blake3::Hasher) -> Option<(u64, u64)> {
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    if request.prompt_cache_key.is_some() {
        return None;
    }
    let mut bytes = 0;
    let mut take = |part: &str| {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part.as_bytes());
        bytes += part.len() as u64;
    };
    take(request.tools.map_or("", RawValue::get));
    take(request.instructions.map_or("", RawValue::get));
    let input: Vec<Message<'_>> = match request.input {
        Some(input) => serde_json::from_str(input.get()).unwrap_or_default(),
        None => Vec::new(),
    };
    let stable = request
        .messages
        .iter()
        .chain(&input)
        .take_while(|message| matches!(message.role.as_deref(), Some("system" | "developer")));
    stable.for_each(|message| take(message.content.map_or("", RawValue::get)));
    let mut hash = [0; 8];
    hash.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Some((u64::from_le_bytes(hash), bytes / 4))
}
