//! What a request and its path ask for.

use http::HeaderName;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    call::{Facts, Unreadable},
    dialect::json::{self, Count, Text, bytes_of, media},
    host::{from_version, model_and_verb},
    route::{Asked, Path},
};

pub(super) fn route(path: &Path<'_>) -> Option<Asked> {
    match path.last {
        "messages" => path.before.ends_with("/v1").then(Asked::default),
        // of the models that are invoked in their vendor's own format, Anthropic's is known here
        "invoke" | "invoke-with-response-stream" => {
            path.bedrock("invoke", "invoke-with-response-stream", |model| {
                let model = percent_decode_str(model).decode_utf8_lossy();
                model.contains("anthropic")
            })
        }
        _ => path
            .is_of_anthropic()
            .then(|| path.google("rawPredict", "streamRawPredict"))?,
    }
}

/// Vertex AI's and Bedrock's name the model.
pub(super) fn path_at_host(path: &str) -> &str {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path.rsplit('/').next() {
        Some("messages") => "/v1/messages",
        Some("invoke" | "invoke-with-response-stream") => model_and_verb(path),
        _ => from_version(path),
    }
}

/// Vertex AI and Bedrock, which speak this under paths of their own, have a bearer token.
pub(super) fn key_header(path: &str) -> Option<HeaderName> {
    let own = path.trim_end_matches('/').ends_with("/messages");
    own.then_some(HeaderName::from_static("x-api-key"))
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    max_tokens: Option<Count>,
    stream: Option<bool>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    user_id: Option<Text<'a>>,
}

pub(super) fn facts(body: &[u8]) -> Result<Facts, Unreadable> {
    let request: Request<'_> = json::request(body)?;
    let prompt = [request.system, request.tools, request.messages];
    Ok(Facts {
        model: request.model.map(|model| model.0.into()),
        end_user: request
            .metadata
            .and_then(|metadata| metadata.user_id)
            .map(|user| user.0.into()),
        stream: request.stream.unwrap_or(false),
        asks_usage: false,
        output_cap: request.max_tokens.map(|cap| cap.0),
        choices: 1,
        prompt_bytes: bytes_of(&prompt),
        media: media(&prompt),
    })
}
