//! Gemini's `generateContent`: one answer, events, or an array that is written bit by bit. All are
//! the same objects.

mod deltas;
mod whole;

use http::HeaderName;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use super::{
    gemini_usage,
    json::{self as text, Count, MaybeCount, Spoken, Text, bytes_of, media},
    json_start,
    wire::{Framing, Place, Problem, Seen, Wire},
};
use crate::{
    Tokens,
    call::{Facts, Unreadable},
    host::from_version,
    meter::{Open, Reading},
    provider_error::{self, ProviderError},
    stream::ending::Last,
};

pub(super) const WIRE: Wire = Wire {
    name: "gemini",
    route: |path| match path.is_of_anthropic() {
        true => None,
        false => path.google("generateContent", "streamGenerateContent"),
    },
    path_at_host: from_version,
    needs_version: true,
    // Vertex AI has a bearer token
    key_header: |path| (!path.contains("/projects/")).then_some(KEY),
    framing: Framing::Sse,
    framing_asked: |uri| {
        let mut query = uri.query().unwrap_or_default().split('&');
        (!query.any(|field| field == "alt=sse")).then_some(Framing::Array)
    },
    framing_of_json: Some(Framing::Array),
    goes_both_ways: false,
    reads_comments: false,
    // another candidate may still begin
    has_last_word: false,
    facts,
    model: Place::Nowhere,
    output_cap: &[Place::WithinSpelt("generationConfig", "maxOutputTokens")],
    usage_on_request: false,
    read_event,
    deltas: deltas::read,
    collect: || Some(Box::<whole::Collected>::default()),
    expand: |answer, _| whole::expand(answer),
    read_answer,
    usage: ("usageMetadata", gemini_usage::read),
    is_complete: |reading| reading.done && reading.all_finished(),
    looks_like_error: |start| json_start::starts_with_member(start, b"error", None),
    error,
    ended_by_error: |problem| vec![Last::new(error(problem))],
    ended_by_limit,
};

/// The header of the Gemini API's keys.
pub(super) const KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
    #[serde(borrow, alias = "system_instruction", rename = "systemInstruction")]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(alias = "generation_config", rename = "generationConfig")]
    config: Option<Config>,
}

/// Google's JSON has two spellings for every name.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(alias = "max_output_tokens", rename = "maxOutputTokens")]
    max_output_tokens: Option<Count>,
    #[serde(alias = "candidate_count", rename = "candidateCount")]
    candidate_count: Option<Count>,
}

/// The path has the model, and says whether it is a stream.
fn facts(body: &[u8]) -> Result<Facts, Unreadable> {
    let request: Request<'_> = text::request(body)?;
    let prompt = [request.system, request.tools, request.contents];
    let config = request.config.unwrap_or_default();
    let choices = config.candidate_count;
    Ok(Facts {
        output_cap: config.max_output_tokens.map(|cap| cap.0),
        choices: choices.map_or(1, |n| u32::try_from(n.0).unwrap_or(u32::MAX)),
        prompt_bytes: bytes_of(&prompt),
        media: media(&prompt),
        ..Facts::default()
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<Feedback<'a>>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    model_version: Option<Text<'a>>,
    #[serde(borrow)]
    response_id: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: MaybeCount,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
    #[serde(borrow)]
    executable_code: Option<&'a RawValue>,
    #[serde(borrow)]
    code_execution_result: Option<&'a RawValue>,
    #[serde(borrow)]
    inline_data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow)]
    block_reason: Option<Text<'a>>,
}

impl<'a> Part<'a> {
    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        spoken.say(self.text, reading);
        if let Some(call) = &self.function_call {
            spoken.silently();
            spoken.say(call.name, reading);
            spoken.say(call.args, reading);
        }
        spoken.say(self.executable_code, reading);
        spoken.say(self.code_execution_result, reading);
        spoken.other(self.inline_data);
    }
}

impl<'a> Answer<'a> {
    /// Whether a choice ended, or all of them.
    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) -> bool {
        let mut ended = false;
        if let Some(model) = &self.model_version {
            reading.set_model(&model.0);
        }
        if let Some(id) = &self.response_id {
            reading.set_id(&id.0);
        }
        for candidate in self.candidates.iter().flatten() {
            let index = candidate.index.0.unwrap_or(0);
            reading.choice(index);
            let parts = candidate.content.iter().flat_map(|of| &of.parts).flatten();
            parts.for_each(|part| part.read(spoken, reading));
            if let Some(reason) = &candidate.finish_reason {
                reading.finish(index, &reason.0);
                ended = true;
            }
        }
        let feedback = self.prompt_feedback.as_ref();
        if let Some(reason) = feedback.and_then(|feedback| feedback.block_reason.as_ref()) {
            blocked(&reason.0, reading);
            ended = true;
        }
        if let Some(usage) = self.usage_metadata {
            gemini_usage::read(usage.get().as_bytes(), reading);
        }
        ended
    }
}

/// The prompt was blocked: there is no choice, and the answer is over.
pub(super) fn blocked(reason: &str, reading: &mut Reading) {
    reading.finish(0, &format!("blocked:{reason}"));
}

fn read_event(data: &[u8], reading: &mut Reading) -> Seen {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(data) else {
        return Seen::error(data, reading);
    };
    if answer.error.is_some() {
        return Seen::error(data, reading);
    }
    let mut spoken = Spoken::default();
    let ended = answer.read(&mut spoken, reading);
    // there is no terminator: what comes after this is the end of the body
    reading.done |= ended && reading.all_finished();
    let seen = Seen::content_or_end(spoken.is_any(), ended);
    let candidates = answer.candidates.as_ref().map_or(0, Vec::len);
    // such an event again says nothing else than its text
    if ended || candidates != 1 {
        return seen;
    }
    seen.with_text(&spoken, data)
}

fn read_answer(body: &[u8], reading: &mut Reading) {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body) else {
        return;
    };
    reading.done = true;
    answer.read(&mut Spoken::default(), reading);
    if let Some(error) = answer.error.and_then(|_| ProviderError::from_body(body)) {
        reading.fail(error);
    }
}

/// Google's shape: the code of ours is the reason of an `ErrorInfo`.
fn error(problem: &Problem<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: Error<'a>,
    }

    #[derive(Serialize)]
    struct Error<'a> {
        code: u16,
        message: &'a str,
        status: &'a str,
        details: [Info<'a>; 1],
    }

    #[derive(Serialize)]
    struct Info<'a> {
        #[serde(rename = "@type")]
        kind: &'a str,
        reason: &'a str,
    }

    text::written(&Body {
        error: Error {
            code: problem.status,
            message: problem.message,
            status: provider_error::google_name(problem.status),
            details: [Info {
                kind: "type.googleapis.com/google.rpc.ErrorInfo",
                reason: problem.code,
            }],
        },
    })
}

fn ended_by_limit(open: &Open, tokens: Tokens, _: bool) -> Vec<Last> {
    let candidates = open.choices.iter().map(|index| {
        json!({"content": {"role": "model", "parts": [{"text": ""}]},
            "finishReason": "MAX_TOKENS", "index": index})
    });
    let candidates: Vec<_> = candidates.collect();
    let usage = json!({"promptTokenCount": tokens.input, "candidatesTokenCount": tokens.output,
        "totalTokenCount": tokens.total()});
    let chunk = json!({"candidates": candidates, "usageMetadata": usage,
        "modelVersion": open.model, "responseId": open.id});
    vec![Last::new(chunk.to_string())]
}
