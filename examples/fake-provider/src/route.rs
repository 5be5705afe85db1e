//! Where a request goes: by its method and path.

use http::{Method, request::Parts};

use crate::dialect::{
    Anthropic, Chat, Completions, Converse, Dialect, Embeddings, Gemini, Invoke, Ollama, Responses,
};

#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) dialect: Dialect,
    pub(crate) to: To,
    /// The model that the path names, decoded.
    pub(crate) model: Option<String>,
    /// Whether the path asks for a stream; `None`: the body says.
    pub(crate) stream: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Call,
    Models,
    /// The path is known, the method is not.
    Wrong,
    Nowhere,
}

impl Route {
    pub(crate) fn of(head: &Parts) -> Self {
        let path = head.uri.path();
        let query = head.uri.query().unwrap_or_default();
        let sse = query.split('&').any(|pair| pair == "alt=sse");
        let found = known(path, sse).map(|(dialect, model, stream)| Self {
            dialect,
            to: To::Call,
            model: model.map(decoded),
            stream,
        });
        let found = found.unwrap_or_else(|| {
            let dialect: Dialect = if head.headers.contains_key("anthropic-version") {
                &Anthropic
            } else if path.starts_with("/v1beta") {
                &Gemini { array: false }
            } else if path.starts_with("/model/") {
                &Converse
            } else if path.starts_with("/api/") {
                &Ollama { chat: true }
            } else {
                &Chat
            };
            let models = path.ends_with("/models") || path.ends_with("/api/tags");
            Self {
                dialect,
                to: if models { To::Models } else { To::Nowhere },
                model: None,
                stream: None,
            }
        });
        let method = match found.to {
            To::Call => Method::POST,
            To::Models => Method::GET,
            To::Wrong | To::Nowhere => return found,
        };
        let to = if head.method == method {
            found.to
        } else {
            To::Wrong
        };
        Self { to, ..found }
    }
}

/// The API of a path, the model in it, and whether it says to stream.
fn known(path: &str, sse: bool) -> Option<(Dialect, Option<&str>, Option<bool>)> {
    let (before, last) = path.rsplit_once('/')?;
    let deployment = before
        .strip_suffix("/chat")
        .unwrap_or(before)
        .rsplit_once("/deployments/")
        .map(|(_, deployment)| deployment);
    if let Some((name, verb)) = last.rsplit_once(':') {
        return Some(match verb {
            "generateContent" => (&Gemini { array: false }, Some(name), Some(false)),
            "streamGenerateContent" if sse => (&Gemini { array: false }, Some(name), Some(true)),
            // without alt=sse one array is written bit by bit
            "streamGenerateContent" => (&Gemini { array: true }, Some(name), Some(true)),
            "rawPredict" => (&Anthropic, Some(name), Some(false)),
            "streamRawPredict" => (&Anthropic, Some(name), Some(true)),
            _ => return None,
        });
    }
    if let Some(bedrock) = bedrock(before, last) {
        return Some(bedrock);
    }
    let dialect: Dialect = match last {
        "completions" if before.ends_with("/chat") => &Chat,
        "completions" => &Completions,
        "responses" => &Responses,
        "embeddings" if !before.ends_with("/api") || deployment.is_some() => &Embeddings,
        "messages" if before.ends_with("/v1") => &Anthropic,
        "chat" if before.ends_with("/api") => &Ollama { chat: true },
        "generate" if before.ends_with("/api") => &Ollama { chat: false },
        _ => return None,
    };
    Some((dialect, deployment, None))
}

/// `/model/ID/VERB`. Of the models that are invoked in their vendor's format, only Anthropic's are
/// known.
fn bedrock<'p>(before: &'p str, verb: &str) -> Option<(Dialect, Option<&'p str>, Option<bool>)> {
    let (prefix, id) = before.rsplit_once('/')?;
    let (dialect, stream): (Dialect, _) = match verb {
        "converse" => (&Converse, false),
        "converse-stream" => (&Converse, true),
        "invoke" => (&Invoke, false),
        "invoke-with-response-stream" => (&Invoke, true),
        _ => return None,
    };
    let known = verb.starts_with("converse") || decoded(id).contains("anthropic");
    (known && prefix.ends_with("/model") && !id.is_empty()).then_some((
        dialect,
        Some(id),
        Some(stream),
    ))
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}
