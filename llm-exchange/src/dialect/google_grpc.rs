//! Google's two gRPC services: the same meanings under different field numbers.

mod deltas;
mod numbers;

use self::numbers::{
    AI_PLATFORM, AUDIO, BLOCK_REASONS, GENERATIVE_LANGUAGE, MAX_TOKENS, Numbers, TRAFFIC_TYPES,
};
use super::{
    gemini,
    gemini_usage::Counts,
    wire::{Framing, Place, Seen, Wire},
};
use crate::{
    Tokens,
    call::{Facts, Media, Unreadable},
    grpc::{Malformed, Value, Writer, fields},
    host::service_and_method,
    meter::{Open, Reading},
    stream::{ending::Last, tree::Unexpected},
};

/// `google.ai.generativelanguage.v1beta`.
pub(super) const GEMINI: Wire = Wire {
    name: "gemini_grpc",
    route: |path| {
        let service = "google.ai.generativelanguage.v1beta.GenerativeService";
        path.grpc(service, "GenerateContent", Some("StreamGenerateContent"))
    },
    key_header: |_| Some(gemini::KEY),
    facts: |message| facts(message, &GENERATIVE_LANGUAGE),
    model: Place::Field(&[1]),
    output_cap: &[Place::Field(&[4, 4])],
    read_event: |message, reading| read_event(message, &GENERATIVE_LANGUAGE, reading),
    ended_by_limit: |open, tokens, _| ended_by_limit(open, tokens, &GENERATIVE_LANGUAGE),
    deltas: |message, out| deltas::read(message, &GENERATIVE_LANGUAGE, out),
    ..VERTEX
};

/// `google.cloud.aiplatform.v1`.
pub(super) const VERTEX: Wire = Wire {
    name: "vertex_grpc",
    route: |path| {
        let service = "google.cloud.aiplatform.v1.PredictionService";
        path.grpc(service, "GenerateContent", Some("StreamGenerateContent"))
    },
    path_at_host: service_and_method,
    needs_version: false,
    key_header: |_| None,
    framing: Framing::Grpc,
    framing_asked: |_| None,
    framing_of_json: None,
    goes_both_ways: false,
    reads_comments: true,
    has_last_word: true,
    facts: |message| facts(message, &AI_PLATFORM),
    model: Place::Field(&[5]),
    output_cap: &[Place::Field(&[4, 5])],
    usage_on_request: false,
    read_event: |message, reading| read_event(message, &AI_PLATFORM, reading),
    deltas: |message, out| deltas::read(message, &AI_PLATFORM, out),
    collect: || None,
    expand: |_, _| Err(Unexpected),
    // every body is read as messages
    read_answer: |_, _| {},
    usage: ("usageMetadata", |_, _| {}),
    is_complete: |reading| reading.done,
    looks_like_error: |_| Some(false),
    error: gemini::WIRE.error,
    ended_by_error: |_| Vec::new(),
    ended_by_limit: |open, tokens, _| ended_by_limit(open, tokens, &AI_PLATFORM),
};

fn named(names: &[&str], number: u64) -> String {
    let name = usize::try_from(number)
        .ok()
        .and_then(|number| names.get(number));
    name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

fn facts(message: &[u8], numbers: &Numbers) -> Result<Facts, Unreadable> {
    read_facts(message, numbers).map_err(|Malformed| Unreadable::Syntax)
}

fn read_facts(message: &[u8], numbers: &Numbers) -> Result<Facts, Malformed> {
    let mut facts = Facts {
        choices: 1,
        ..Facts::default()
    };
    for field in fields(message) {
        let (number, value) = field?.into_parts();
        match number {
            number if number == numbers.model => {
                // `models/NAME`, or the path of a resource
                let name = value.text().ok_or(Malformed)?;
                facts.model = name.rsplit('/').next().map(Into::into);
            }
            4 => {
                for field in fields(value.bytes()) {
                    let (number, value) = field?.into_parts();
                    if number == numbers.max_output_tokens {
                        facts.output_cap = Some(value.count());
                    } else if number == numbers.candidate_count {
                        facts.choices = u32::try_from(value.count()).unwrap_or(u32::MAX);
                    }
                }
            }
            2 | 8 => {
                facts.prompt_bytes += value.bytes().len();
                media(value.bytes(), numbers, &mut facts.media)?;
            }
            number if number == numbers.tools => facts.prompt_bytes += value.bytes().len(),
            _ => {}
        }
    }
    Ok(facts)
}

/// What of a content is no text.
fn media(content: &[u8], numbers: &Numbers, media: &mut Media) -> Result<(), Malformed> {
    for part in inside(content, numbers.parts) {
        for data in inside(part?, numbers.inline_data) {
            media.bytes += data?.len();
            media.parts += 1;
        }
    }
    Ok(())
}

/// The messages under one number.
fn inside(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    fields(message).filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(Ok(field.value.bytes())),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

fn read_event(message: &[u8], numbers: &Numbers, reading: &mut Reading) -> Seen {
    let mut read = Read::default();
    // what comes before something malformed is believed
    let _ = read.response(message, numbers, reading);
    Seen::content_or_end(read.content, read.ended)
}

#[derive(Default)]
struct Read {
    content: bool,
    ended: bool,
}

impl Read {
    fn response(
        &mut self,
        message: &[u8],
        numbers: &Numbers,
        reading: &mut Reading,
    ) -> Result<(), Malformed> {
        for field in fields(message) {
            let (number, value) = field?.into_parts();
            if number == numbers.candidates {
                self.candidate(value.bytes(), numbers, reading)?;
            } else if number == numbers.prompt_feedback {
                self.feedback(value.bytes(), reading)?;
            } else if number == numbers.usage_metadata {
                usage(value.bytes(), numbers, reading)?;
            } else if number == numbers.model_version {
                reading.set_model(value.text().unwrap_or_default());
            } else if number == numbers.response_id {
                reading.set_id(value.text().unwrap_or_default());
            }
        }
        Ok(())
    }

    fn candidate(
        &mut self,
        candidate: &[u8],
        numbers: &Numbers,
        reading: &mut Reading,
    ) -> Result<(), Malformed> {
        let (mut index, mut finish) = (0, 0);
        for field in fields(candidate) {
            let (number, value) = field?.into_parts();
            if number == numbers.content {
                for part in inside(value.bytes(), numbers.parts) {
                    self.part(part?, numbers, reading)?;
                }
            } else if number == numbers.finish_reason {
                finish = value.count();
            } else if number == numbers.index {
                index = value.count();
            }
        }
        reading.choice(index);
        if finish > 0 {
            reading.finish(index, &named(&numbers.finish_reasons, finish));
            self.ended = true;
        }
        Ok(())
    }

    /// Text is counted; anything else in a part is content too, but for marks such as `thought` and
    /// its signature.
    fn part(
        &mut self,
        part: &[u8],
        numbers: &Numbers,
        reading: &mut Reading,
    ) -> Result<(), Malformed> {
        for field in fields(part) {
            let (number, value) = field?.into_parts();
            if let Value::Bytes(bytes) = value
                && !bytes.is_empty()
                && !numbers.marks.contains(&number)
            {
                self.content = true;
                if number == numbers.text {
                    reading.text(bytes);
                }
            }
        }
        Ok(())
    }

    fn feedback(&mut self, feedback: &[u8], reading: &mut Reading) -> Result<(), Malformed> {
        for field in fields(feedback) {
            let (number, value) = field?.into_parts();
            if number == 1 && value.count() > 0 {
                gemini::blocked(&named(&BLOCK_REASONS, value.count()), reading);
                self.ended = true;
            }
        }
        Ok(())
    }
}

fn usage(usage: &[u8], numbers: &Numbers, reading: &mut Reading) -> Result<(), Malformed> {
    let mut counts = Counts::default();
    let mut any = false;
    for field in fields(usage) {
        let (number, value) = field?.into_parts();
        let count = match number {
            1 => &mut counts.prompt,
            2 => &mut counts.candidates,
            3 => &mut counts.total,
            number if number == numbers.cached => &mut counts.cached,
            number if number == numbers.tool_use => &mut counts.tool_use,
            number if number == numbers.thoughts => &mut counts.thoughts,
            number if number == numbers.traffic_type => {
                reading.set_tier(&named(&TRAFFIC_TYPES, value.count()));
                continue;
            }
            number => {
                let part = match number {
                    number if number == numbers.prompt_details => &mut counts.audio_prompt,
                    number if number == numbers.cache_details => &mut counts.audio_cached,
                    number if number == numbers.candidates_details => &mut counts.audio_candidates,
                    _ => continue,
                };
                *part = part.saturating_add(audio(value.bytes())?);
                continue;
            }
        };
        *count = value.count();
        any = true;
    }
    // zeros are left out; where all are, nothing was counted yet
    if any {
        reading.set_usage(counts.usage());
    }
    Ok(())
}

/// The tokens of one part, if they are of audio.
fn audio(part: &[u8]) -> Result<u64, Malformed> {
    let (mut modality, mut tokens) = (0, 0);
    for field in fields(part) {
        let (number, value) = field?.into_parts();
        match number {
            1 => modality = value.count(),
            2 => tokens = value.count(),
            _ => {}
        }
    }
    Ok(if modality == AUDIO { tokens } else { 0 })
}

fn ended_by_limit(open: &Open, tokens: Tokens, numbers: &Numbers) -> Vec<Last> {
    let content = Writer::default().bytes(numbers.role, b"model");
    let content = content.into_message();
    let candidates = open.choices.iter().map(|index| {
        Writer::default()
            .bytes(numbers.content, &content)
            .varint(numbers.finish_reason, MAX_TOKENS)
            .varint(numbers.index, *index)
            .into_message()
    });
    let message = candidates.fold(Writer::default(), |message, candidate| {
        message.bytes(numbers.candidates, &candidate)
    });
    let usage = Writer::default()
        .varint(1, tokens.input)
        .varint(2, tokens.output)
        .varint(3, tokens.total())
        .into_message();
    let mut message = message.bytes(numbers.usage_metadata, &usage);
    for (number, name) in [
        (numbers.model_version, &open.model),
        (numbers.response_id, &open.id),
    ] {
        if let Some(name) = name {
            message = message.bytes(number, name.as_bytes());
        }
    }
    vec![Last::new(message.into_message())]
}
