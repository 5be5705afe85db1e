//! What a path says of a call: which API it is, which model, whether a stream is wanted.
//!
//! Whatever stands before the part that is recognised is a prefix of the provider's or of a proxy.

use std::{borrow::Cow, ops::Range};

use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::Dialect;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) dialect: Dialect,
    /// Where the model stands in the path, percent-encoded.
    pub(crate) model: Option<Range<usize>>,
    /// `None`: the body says.
    pub(crate) stream: Option<bool>,
}

/// Everything but RFC 3986's unreserved characters: what clients' libraries encode in a segment.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Route {
    /// Reads a request's method and path.
    pub(crate) fn of_request(method: &Method, uri: &Uri) -> Option<Self> {
        (method == Method::POST).then(|| Self::of(uri.path()))?
    }

    /// Reads the path of a POST. `None`: it is no call of an API that is known here.
    pub(crate) fn of(path: &str) -> Option<Self> {
        // "/" alone at the end is nothing to servers that are lenient about it
        let path = path.strip_suffix('/').unwrap_or(path);
        let (before, last) = split_last(path, b'/')?;
        grpc(before, last)
            .or_else(|| openai(before, last))
            .or_else(|| bedrock(before, last))
            .or_else(|| google(before, last))
            .or_else(|| {
                let dialect = match last {
                    "messages" if before.ends_with("/v1") => Dialect::AnthropicMessages,
                    "chat" | "generate" if before.ends_with("/api") => Dialect::Ollama,
                    _ => return None,
                };
                Some(Self::plain(dialect))
            })
    }

    /// Whether two paths are of the same API, and name the same model where they name one.
    pub(crate) fn ask_the_same(one: &str, other: &str) -> bool {
        let read = |path| {
            let route = Self::of(path)?;
            let model = route.model.and_then(|at| path.get(at));
            Some((route.dialect, model, route.stream))
        };
        read(one).is_some_and(|one| read(other) == Some(one))
    }

    const fn plain(dialect: Dialect) -> Self {
        Self {
            dialect,
            model: None,
            stream: None,
        }
    }

    /// The model that the path names, decoded. A name that is not UTF-8 is none.
    pub(crate) fn model_in<'p>(&self, path: &'p str) -> Option<Cow<'p, str>> {
        percent_decode_str(path.get(self.model.clone()?)?)
            .decode_utf8()
            .ok()
    }

    /// The same path with another model. `None`: the path names none, the name is empty, or it would
    /// be another API's (Bedrock invokes each vendor's models in the vendor's format).
    pub(crate) fn with_model(&self, path: &str, model: &str) -> Option<String> {
        let at = self.model.clone()?;
        if model.is_empty() {
            return None;
        }
        let encoded = utf8_percent_encode(model, NOT_UNRESERVED).to_string();
        // a segment of dots would climb in the path
        let encoded = if encoded.bytes().all(|byte| byte == b'.') {
            encoded.replace('.', "%2E")
        } else {
            encoded
        };
        let path = [path.get(..at.start)?, &encoded, path.get(at.end..)?].concat();
        (Self::of(&path)?.dialect == self.dialect).then_some(path)
    }
}

/// What `rsplit_once` does, several times as fast for the few bytes of a segment: every layer reads
/// the path of every call.
fn split_last(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == at)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn grpc(before: &str, method: &str) -> Option<Route> {
    let (_, service) = split_last(before, b'/')?;
    let (dialect, unary, streaming) = match service {
        "google.ai.generativelanguage.v1beta.GenerativeService" => (
            Dialect::GeminiGrpc,
            "GenerateContent",
            "StreamGenerateContent",
        ),
        "google.cloud.aiplatform.v1.PredictionService" => (
            Dialect::VertexGrpc,
            "GenerateContent",
            "StreamGenerateContent",
        ),
        "inference.GRPCInferenceService" if method == "ModelStreamInfer" => {
            return Some(Route::plain(Dialect::KServeStreamGrpc));
        }
        "inference.GRPCInferenceService" => (Dialect::KServeGrpc, "ModelInfer", ""),
        _ => return None,
    };
    let stream = Some(method == streaming);
    (method == unary || method == streaming).then_some(Route {
        dialect,
        model: None,
        stream,
    })
}

fn openai(before: &str, last: &str) -> Option<Route> {
    let (dialect, before) = match last {
        "completions" => match before.strip_suffix("/chat") {
            Some(before) => (Dialect::OpenAiChat, before),
            None => (Dialect::OpenAiCompletions, before),
        },
        "embeddings" => (Dialect::OpenAiEmbeddings, before),
        "responses" => (Dialect::OpenAiResponses, before),
        _ => return None,
    };
    Some(Route {
        model: azure_deployment(before),
        ..Route::plain(dialect)
    })
}

/// Azure's classic paths: `.../openai/deployments/NAME`.
fn azure_deployment(path: &str) -> Option<Range<usize>> {
    let (before, _) = split_last(path, b'/')?;
    (before.ends_with("/openai/deployments") && before.len() + 1 < path.len())
        .then_some(before.len() + 1..path.len())
}

/// `/model/ID/VERB`.
fn bedrock(before: &str, verb: &str) -> Option<Route> {
    let (prefix, id) = split_last(before, b'/')?;
    if !prefix.ends_with("/model") || id.is_empty() {
        return None;
    }
    // of the models that are invoked in their vendor's own format, Anthropic's is known here
    let invoked = || {
        let id = percent_decode_str(id).decode_utf8_lossy();
        id.contains("anthropic")
            .then_some(Dialect::AnthropicMessages)
    };
    let (dialect, stream) = match verb {
        "converse" => (Dialect::BedrockConverse, false),
        "converse-stream" => (Dialect::BedrockConverse, true),
        "invoke" => (invoked()?, false),
        "invoke-with-response-stream" => (invoked()?, true),
        _ => return None,
    };
    Some(Route {
        dialect,
        model: Some(prefix.len() + 1..before.len()),
        stream: Some(stream),
    })
}

/// `.../models/NAME:VERB` and the like.
fn google(before: &str, last: &str) -> Option<Route> {
    let (name, verb) = split_last(last, b':')?;
    let of_anthropic = before.ends_with("/publishers/anthropic/models");
    let (dialect, stream) = match verb {
        "generateContent" if !of_anthropic => (Dialect::Gemini, false),
        "streamGenerateContent" if !of_anthropic => (Dialect::Gemini, true),
        "rawPredict" if of_anthropic => (Dialect::AnthropicMessages, false),
        "streamRawPredict" if of_anthropic => (Dialect::AnthropicMessages, true),
        _ => return None,
    };
    let collection = before.rsplit('/').next()?;
    let known = matches!(collection, "models" | "tunedModels" | "endpoints");
    (known && !name.is_empty()).then_some(Route {
        dialect,
        model: Some(before.len() + 1..before.len() + 1 + name.len()),
        stream: Some(stream),
    })
}

/// What is read of a path is found again after it was changed, and nothing else changes.
#[cfg(any(test, fuzzing))]
pub(crate) fn check(path: &str, model: &str) {
    let Some(route) = Route::of(path) else {
        return;
    };
    let Some(changed) = route.with_model(path, model) else {
        return;
    };
    let again = Route::of(&changed).expect("it is the same API still");
    assert_eq!((again.dialect, again.stream), (route.dialect, route.stream));
    assert_eq!(again.model_in(&changed).as_deref(), Some(model));
    let (before, after) = (route.model.expect("a place"), again.model.expect("a place"));
    assert_eq!(path[..before.start], changed[..after.start]);
    assert_eq!(path[before.end..], changed[after.end..]);
}

#[cfg(test)]
mod tests;
