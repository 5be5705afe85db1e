//! OpenAI chat completions, and the servers that speak it.

mod collect;
mod deltas;
mod ending;
mod expand;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    json::{self, Count, MaybeCount, Spoken, Text, bytes_of, media, range_within},
    json_start, openai_error,
    openai_said::Said,
    openai_usage,
    wire::{Framing, Place, Seen, Wire},
};
use crate::{
    call::{Facts, Unreadable},
    meter::{Holes, Reading, StreamEvent},
    provider_error::ProviderError,
};

pub(super) const WIRE: Wire = Wire {
    name: "openai_chat",
    route: |path| path.openai("/chat", "completions"),
    path_at_host: |_| "/v1/chat/completions",
    needs_version: false,
    key_header: |_| None,
    framing: Framing::Sse,
    framing_asked: |_| None,
    framing_of_json: None,
    goes_both_ways: false,
    reads_comments: true,
    has_last_word: true,
    facts,
    model: Place::Member("model"),
    output_cap: &[
        Place::Member("max_completion_tokens"),
        Place::Member("max_tokens"),
    ],
    usage_on_request: true,
    read_event,
    deltas: deltas::read,
    collect: || Some(Box::<collect::Collected>::default()),
    expand: expand::expand,
    read_answer,
    usage: ("usage", openai_usage::read),
    is_complete,
    looks_like_error,
    error: openai_error::error,
    ended_by_error: openai_error::ended_by_error,
    ended_by_limit: ending::by_limit,
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    max_completion_tokens: Option<Count>,
    max_tokens: Option<Count>,
    n: Option<Count>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(borrow)]
    safety_identifier: Option<Text<'a>>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
    /// DeepSeek's name for it.
    #[serde(borrow)]
    user_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
    continuous_usage_stats: Option<bool>,
}

impl StreamOptions {
    pub(super) fn asks_usage(this: Option<Self>) -> bool {
        this.is_some_and(|options| {
            // vLLM takes one who asks for running counts for one who asks for the last too
            let continuous = options.continuous_usage_stats;
            options.include_usage.or(continuous).unwrap_or(false)
        })
    }
}

/// The end user under its new name or its old one.
pub(super) fn end_user(
    safety_identifier: Option<Text<'_>>,
    user: Option<Text<'_>>,
) -> Option<Box<str>> {
    safety_identifier.or(user).map(|user| user.0.into())
}

fn facts(body: &[u8]) -> Result<Facts, Unreadable> {
    let request: Request<'_> = json::request(body)?;
    let prompt = [request.messages, request.tools];
    Ok(Facts {
        model: request.model.map(|model| model.0.into()),
        end_user: end_user(request.safety_identifier, request.user.or(request.user_id)),
        stream: request.stream.unwrap_or(false),
        asks_usage: StreamOptions::asks_usage(request.stream_options),
        // the larger, where both stand: which one a server obeys differs
        output_cap: request
            .max_completion_tokens
            .max(request.max_tokens)
            .map(|cap| cap.0),
        choices: request
            .n
            .map_or(1, |n| u32::try_from(n.0).unwrap_or(u32::MAX)),
        prompt_bytes: bytes_of(&prompt),
        media: media(&prompt),
    })
}

/// A chunk of a stream, or a whole answer.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    service_tier: Option<Text<'a>>,
    #[serde(default)]
    created: MaybeCount,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<Groq<'a>>,
    #[serde(borrow)]
    obfuscation: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    /// A text: the stream was stopped early.
    #[serde(borrow)]
    error: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: MaybeCount,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    #[serde(borrow)]
    message: Option<Said<'a>>,
    /// The old completions have this alone.
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

pub(super) fn read_event(data: &[u8], reading: &mut Reading) -> Seen {
    if data.starts_with(b"[DONE]") {
        reading.done = true;
        return StreamEvent::Finished.into();
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        // not a chunk: perhaps a server's flat error
        return Seen::error(data, reading);
    };
    let choices = chunk.choices.as_deref().unwrap_or_default();
    let mut spoken = Spoken::default();
    chunk.read(&mut spoken, reading);
    if let Some(error) = chunk.error(data) {
        reading.fail(error);
        return StreamEvent::Error.into();
    }
    // a chunk that is none: a flat error, which Mistral writes
    if chunk.choices.is_none() && chunk.usage.is_none() {
        return Seen::error(data, reading);
    }
    let finished = choices.iter().any(Choice::is_finished);
    let usage = chunk
        .usage
        .or(chunk.x_groq.as_ref().and_then(|groq| groq.usage));
    Seen {
        event: if spoken.is_any() {
            StreamEvent::Content
        } else if finished {
            StreamEvent::Finished
        } else {
            StreamEvent::Nothing
        },
        // such an event again says nothing else than its text
        holes: spoken
            .only()
            .filter(|_| choices.len() == 1 && !finished && usage.is_none())
            .and_then(|text| {
                let noise = chunk.obfuscation.map(RawValue::get);
                Some(Holes {
                    text: range_within(data, text)?,
                    noise: match noise {
                        Some(noise) => Some(range_within(data, noise)?),
                        None => None,
                    },
                })
            }),
        usage_only: choices.is_empty() && chunk.usage.is_some(),
    }
}

pub(super) fn read_answer(body: &[u8], reading: &mut Reading) {
    let Ok(answer) = serde_json::from_slice::<Chunk<'_>>(body) else {
        Seen::error(body, reading);
        return;
    };
    reading.done = true;
    answer.read(&mut Spoken::default(), reading);
    if let Some(error) = answer.error(body) {
        reading.fail(error);
    } else if answer.choices.is_none() && answer.usage.is_none() {
        // an answer that is none: a flat error
        Seen::error(body, reading);
    }
}

impl<'a> Chunk<'a> {
    fn error(&self, data: &[u8]) -> Option<ProviderError> {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.error.as_ref());
        match groq {
            Some(text) => Some(ProviderError::from_text(&text.0)),
            None => self.error.and_then(|_| ProviderError::from_body(data)),
        }
    }

    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        for (value, set) in [
            (&self.id, Reading::set_id as fn(&mut Reading, &str)),
            (&self.model, Reading::set_model),
            (&self.service_tier, Reading::set_tier),
        ] {
            if let Some(value) = value {
                set(reading, &value.0);
            }
        }
        reading.created = self.created.0.or(reading.created);
        for choice in self.choices.as_deref().unwrap_or_default() {
            let index = choice.index.0.unwrap_or(0);
            reading.choice(index);
            let said = choice.delta.iter().chain(&choice.message);
            said.for_each(|said| said.read(spoken, reading));
            spoken.say(choice.text, reading);
            if let Some(reason) = choice
                .finish_reason
                .as_ref()
                .filter(|_| choice.is_finished())
            {
                reading.finish(index, &reason.0);
            }
        }
        let groq = self.x_groq.as_ref().and_then(|groq| groq.usage);
        for usage in groq.iter().chain(&self.usage) {
            openai_usage::read(usage.get().as_bytes(), reading);
        }
    }
}

impl Choice<'_> {
    fn is_finished(&self) -> bool {
        self.finish_reason
            .as_ref()
            .is_some_and(|reason| !reason.0.is_empty())
    }
}

pub(super) fn is_complete(reading: &Reading) -> bool {
    reading.done && reading.all_finished()
}

pub(super) fn looks_like_error(start: &[u8]) -> Option<bool> {
    json_start::members_tell(start, |name, value| match (name, value) {
        (b"choices" | b"data", _) => Some(false),
        (b"error", Some(value)) if value != b"null" => Some(true),
        (b"object", Some(b"\"error\"")) => Some(true),
        _ => None,
    })
}
