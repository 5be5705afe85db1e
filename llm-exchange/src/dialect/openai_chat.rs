//! OpenAI chat completions, and the servers that speak it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Seen,
    json::{Count, MaybeCount, Spoken, Text, media, range_within},
    openai_usage,
};
use crate::{
    call::Facts,
    meter::{Holes, Reading, StreamEvent},
    provider_error::ProviderError,
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
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

pub(super) fn facts(body: &[u8]) -> serde_json::Result<Facts> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    let prompt = [request.messages, request.tools];
    Ok(Facts {
        model: request.model.map(|model| model.0.into()),
        end_user: request
            .safety_identifier
            .or(request.user)
            .map(|user| user.0.into()),
        stream: request.stream.unwrap_or(false),
        asks_usage: request
            .stream_options
            .is_some_and(|options| options.include_usage.unwrap_or(false)),
        // the larger, where both stand: which one a server obeys differs
        output_cap: request
            .max_completion_tokens
            .max(request.max_tokens)
            .map(|cap| cap.0),
        choices: request
            .n
            .map_or(1, |n| u32::try_from(n.0).unwrap_or(u32::MAX)),
        prompt_bytes: prompt.iter().flatten().map(|raw| raw.get().len()).sum(),
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
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: MaybeCount,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    #[serde(borrow)]
    message: Option<Said<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

/// A delta, or a whole message.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
    #[serde(borrow)]
    custom: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

impl<'a> Said<'a> {
    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        spoken.say(self.content, reading);
        spoken.say(self.refusal, reading);
        // servers that send both names send the same text twice
        spoken.say(self.reasoning_content.or(self.reasoning), reading);
        if let Some(calls) = self.tool_calls {
            match serde_json::from_str::<Vec<ToolCall<'a>>>(calls.get()) {
                Ok(calls) => {
                    for call in calls {
                        // a call without a name and arguments is still one
                        spoken.silently();
                        let parts = call.function.iter().chain(&call.custom);
                        parts.for_each(|function| function.read(spoken, reading));
                    }
                }
                Err(_) => spoken.say(Some(calls), reading),
            }
        }
        spoken.say(self.function_call, reading);
        spoken.other(self.audio);
    }
}

impl<'a> Function<'a> {
    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        spoken.say(self.name, reading);
        spoken.say(self.arguments, reading);
        spoken.say(self.input, reading);
    }
}

pub(super) fn read_event(data: &[u8], reading: &mut Reading) -> Seen {
    if data.starts_with(b"[DONE]") {
        reading.done = true;
        return StreamEvent::Finished.into();
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        // not a chunk: perhaps a server's flat error
        return match ProviderError::from_body(data) {
            Some(error) => {
                reading.fail(error);
                StreamEvent::Error.into()
            }
            None => StreamEvent::Nothing.into(),
        };
    };
    let choices = chunk.choices.as_deref().unwrap_or_default();
    let mut spoken = Spoken::default();
    chunk.read(&mut spoken, reading);
    if let Some(error) = chunk.error.and_then(|_| ProviderError::from_body(data)) {
        reading.fail(error);
        return StreamEvent::Error.into();
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
        return;
    };
    reading.done = true;
    answer.read(&mut Spoken::default(), reading);
    if let Some(error) = answer.error.and_then(|_| ProviderError::from_body(body)) {
        reading.fail(error);
    }
}

impl<'a> Chunk<'a> {
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
            if let Some(usage) = openai_usage::of(usage.get().as_bytes()) {
                reading.set_usage(usage);
            }
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
