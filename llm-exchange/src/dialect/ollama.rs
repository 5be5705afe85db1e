//! Ollama's own API: one JSON text a line, and a stream unless the request says otherwise.

mod deltas;
mod whole;

use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use super::{
    json::{self as text, MaybeCount, Spoken, Text, bytes_of},
    json_start,
    wire::{Framing, Place, Problem, Seen, Wire},
};
use crate::{
    Tokens, Usage,
    call::{Facts, Media, Unreadable},
    meter::{Open, Reading},
    route::Asked,
    stream::ending::Last,
};

pub(super) const WIRE: Wire = Wire {
    name: "ollama",
    route: |path| {
        let known = matches!(path.last, "chat" | "generate") && path.before.ends_with("/api");
        known.then(Asked::default)
    },
    path_at_host: |path| path.rfind("/api/").map_or(path, |at| &path[at..]),
    needs_version: false,
    key_header: |_| None,
    framing: Framing::Lines,
    framing_asked: |_| None,
    framing_of_json: Some(Framing::Lines),
    goes_both_ways: false,
    reads_comments: true,
    has_last_word: true,
    facts,
    model: Place::Member("model"),
    output_cap: &[Place::Within("options", "num_predict")],
    usage_on_request: false,
    read_event,
    deltas: deltas::read,
    collect: || Some(Box::<whole::Collected>::default()),
    expand: |answer, _| whole::expand(answer),
    read_answer: |body, reading| {
        read_event(body, reading);
    },
    usage: ("done_reason", read_counts_behind),
    is_complete: |reading| reading.done,
    looks_like_error: |start| json_start::starts_with_member(start, b"error", None),
    error,
    ended_by_error: |problem| vec![Last::new(error(problem))],
    ended_by_limit,
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    images: Option<&'a RawValue>,
    options: Option<Options>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
struct Options {
    /// Negative: no limit.
    num_predict: Option<i64>,
}

fn facts(body: &[u8]) -> Result<Facts, Unreadable> {
    let request: Request<'_> = text::request(body)?;
    let cap = request.options.and_then(|options| options.num_predict);
    // of `/api/generate`; those of `/api/chat` stand in its messages
    let images = bytes_of(&[request.images]);
    let within = text::media(&[request.messages]);
    Ok(Facts {
        model: request.model.map(|model| model.0.into()),
        stream: request.stream.unwrap_or(true),
        output_cap: cap.and_then(|cap| u64::try_from(cap).ok()),
        choices: 1,
        prompt_bytes: images
            + bytes_of(&[
                request.system,
                request.tools,
                request.messages,
                request.prompt,
            ]),
        media: Media {
            bytes: images + within.bytes,
            parts: usize::from(images > 0) + within.parts,
        },
        ..Facts::default()
    })
}

/// A line of a stream, or a whole answer.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    /// Of `/api/chat`.
    #[serde(borrow)]
    message: Option<Message<'a>>,
    /// Of `/api/generate`.
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    done: Option<bool>,
    #[serde(borrow)]
    done_reason: Option<Text<'a>>,
    #[serde(default)]
    prompt_eval_count: MaybeCount,
    #[serde(default)]
    eval_count: MaybeCount,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

fn read_event(data: &[u8], reading: &mut Reading) -> Seen {
    let Ok(line) = serde_json::from_slice::<Line<'_>>(data) else {
        return Seen::error(data, reading);
    };
    if line.error.is_some() {
        return Seen::error(data, reading);
    }
    let mut spoken = Spoken::default();
    reading.choice(0);
    if let Some(model) = &line.model {
        reading.set_model(&model.0);
    }
    if let Some(message) = &line.message {
        spoken.say(message.thinking, reading);
        spoken.say(message.content, reading);
        spoken.say(message.tool_calls, reading);
    }
    spoken.say(line.thinking, reading);
    spoken.say(line.response, reading);
    let done = line.done == Some(true);
    if done {
        let reason = line.done_reason.as_ref();
        reading.finish(0, reason.map_or("stop", |reason| &*reason.0));
        reading.set_usage(line.usage());
        reading.done = true;
    }
    Seen::content_or_end(spoken.is_any(), done).with_text(&spoken, data)
}

impl Line<'_> {
    fn usage(&self) -> Usage {
        // a count that is zero is left out; reasoning is among what was evaluated
        Usage {
            uncached: self.prompt_eval_count.0.unwrap_or(0),
            visible: self.eval_count.0.unwrap_or(0),
            ..Usage::default()
        }
    }
}

/// The counts stand beside everything else, behind the reason: the rest of an object is made one again.
fn read_counts_behind(reason: &[u8], reading: &mut Reading) {
    let object = [b"{\"done_reason\":", reason].concat();
    let mut lines = serde_json::Deserializer::from_slice(&object).into_iter::<Line<'_>>();
    if let Some(Ok(line)) = lines.next()
        && line.prompt_eval_count.0.or(line.eval_count.0).is_some()
    {
        reading.set_usage(line.usage());
    }
}

/// `{"error":"text"}`, with our code beside it.
fn error(problem: &Problem<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'a str,
        code: &'a str,
    }

    text::written(&Body {
        error: problem.message,
        code: problem.code,
    })
}

/// With the members of both calls, of which a client reads its own.
fn ended_by_limit(open: &Open, tokens: Tokens, _: bool) -> Vec<Last> {
    let message = json!({"role": "assistant", "content": ""});
    let line = json!({"model": open.model, "message": message, "response": "", "done": true,
        "done_reason": "length", "prompt_eval_count": tokens.input, "eval_count": tokens.output});
    vec![Last::new(line.to_string())]
}
