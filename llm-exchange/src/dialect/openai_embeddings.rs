//! OpenAI embeddings: numbers for texts. Nothing is generated, and there is no stream.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    json::{self, Text, bytes_of},
    openai_chat, openai_usage,
    wire::{Place, Seen, Wire},
};
use crate::{
    call::{Facts, Media, Unreadable},
    meter::Reading,
    stream::tree::Unexpected,
};

pub(super) const WIRE: Wire = Wire {
    name: "openai_embeddings",
    route: |path| {
        let asked = path.openai("", "embeddings")?;
        // Ollama's own is another API, unless a deployment is called so
        let is_ollamas = path.before.ends_with("/api") && asked.model.is_none();
        (!is_ollamas).then_some(asked)
    },
    path_at_host: |_| "/v1/embeddings",
    facts,
    model: Place::Member("model"),
    output_cap: &[],
    usage_on_request: false,
    deltas: |_, _| {},
    read_answer,
    is_complete: |reading| reading.done,
    ended_by_limit: |_, _, _| Vec::new(),
    collect: || None,
    expand: |_, _| Err(Unexpected),
    ..openai_chat::WIRE
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
}

fn facts(body: &[u8]) -> Result<Facts, Unreadable> {
    let request: Request<'_> = json::request(body)?;
    Ok(Facts {
        model: request.model.map(|model| model.0.into()),
        end_user: openai_chat::end_user(None, request.user),
        stream: false,
        asks_usage: false,
        output_cap: Some(0),
        choices: 1,
        prompt_bytes: bytes_of(&[request.input]),
        media: Media::default(),
    })
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

fn read_answer(body: &[u8], reading: &mut Reading) {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body) else {
        Seen::error(body, reading);
        return;
    };
    reading.done = true;
    if let Some(model) = &answer.model {
        reading.set_model(&model.0);
    }
    if let Some(usage) = answer.usage {
        openai_usage::read(usage.get().as_bytes(), reading);
    }
    // an answer that is none is a flat error
    if answer.error.is_some() || (answer.data.is_none() && answer.usage.is_none()) {
        Seen::error(body, reading);
    }
}
