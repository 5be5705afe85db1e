//! OpenAI's old completions: a prompt, and a text. Answers are read as those of chat completions, of
//! which they differ in one member.

mod deltas;
mod whole;

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    json::{self, Count, Text, bytes_of},
    openai_chat::{self, StreamOptions},
    wire::{Place, Wire},
};
use crate::{
    Tokens,
    call::{Facts, Media, Unreadable},
    meter::Open,
    route::{Asked, Path},
    stream::ending::Last,
};

pub(super) const WIRE: Wire = Wire {
    name: "openai_completions",
    route,
    path_at_host: |_| "/v1/completions",
    facts,
    output_cap: &[Place::Member("max_tokens")],
    ended_by_limit,
    deltas: deltas::read,
    collect: || Some(Box::<whole::Collected>::default()),
    expand: whole::expand,
    ..openai_chat::WIRE
};

/// Those of chat end in the same word.
fn route(path: &Path<'_>) -> Option<Asked> {
    let asked = path.openai("", "completions")?;
    (!path.before.ends_with("/chat")).then_some(asked)
}

/// What a request gets that names no cap.
const DEFAULT_CAP: u64 = 16;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    suffix: Option<&'a RawValue>,
    max_tokens: Option<Count>,
    n: Option<Count>,
    best_of: Option<Count>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
}

fn facts(body: &[u8]) -> Result<Facts, Unreadable> {
    let request: Request<'_> = json::request(body)?;
    // all that are tried are billed, though fewer come back
    let choices = request.n.max(request.best_of);
    Ok(Facts {
        model: request.model.map(|model| model.0.into()),
        end_user: openai_chat::end_user(None, request.user),
        stream: request.stream.unwrap_or(false),
        asks_usage: StreamOptions::asks_usage(request.stream_options),
        output_cap: Some(request.max_tokens.map_or(DEFAULT_CAP, |cap| cap.0)),
        choices: choices.map_or(1, |n| u32::try_from(n.0).unwrap_or(u32::MAX)),
        prompt_bytes: bytes_of(&[request.prompt, request.suffix]),
        media: Media::default(),
    })
}

fn ended_by_limit(open: &Open, tokens: Tokens, with_usage: bool) -> Vec<Last> {
    let chunk = |choices: Vec<_>| {
        json!({"id": open.id, "object": "text_completion", "created": open.created,
            "model": open.model, "choices": choices})
    };
    let choices = open.choices.iter().map(
        |index| json!({"text": "", "index": index, "logprobs": null, "finish_reason": "length"}),
    );
    let mut events = vec![Last::new(chunk(choices.collect()).to_string())];
    if with_usage {
        let mut usage = chunk(Vec::new());
        usage["usage"] = json!({"prompt_tokens": tokens.input, "completion_tokens": tokens.output,
            "total_tokens": tokens.total()});
        events.push(Last::new(usage.to_string()));
    }
    events.push(Last::new("[DONE]"));
    events
}
