//! Where calls go: the choice of a provider, its address and its credential.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, Method, Request, Uri, header, uri::Scheme};
use llm_exchange::{Credential, Dialect, Host, InvalidCredential, InvalidHost};
use serde::Deserialize;

use crate::headers;

/// What a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProviderDialect {
    #[default]
    OpenAi,
    Anthropic,
    Gemini,
    Bedrock,
    Ollama,
    KServe,
}

/// Paths that are proxied. Whatever is under them the provider knows, and gRPC's services by their
/// full names.
const SERVED: [&str; 7] = [
    "/v1/",
    "/v1beta/",
    "/model/",
    "/api/",
    "/google.ai.generativelanguage.",
    "/google.cloud.aiplatform.",
    "/inference.GRPCInferenceService/",
];

pub(crate) fn is_served(path: &str) -> bool {
    SERVED.iter().any(|start| path.starts_with(start))
}

/// A provider as configured.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) name: Arc<str>,
    pub(crate) host: Host,
    /// Of its calls.
    pub(crate) credential: Option<Credential>,
    /// Of other requests, where it has its key in a header of its own.
    other_credential: Option<Credential>,
    pub(crate) dialect: ProviderDialect,
}

/// What is wrong with a provider.
#[derive(Debug)]
pub(crate) enum ProviderError {
    Name,
    BaseUrl(InvalidHost),
    Key(InvalidCredential),
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("a name is 1 to 64 letters, digits, '-', '_' or '.'"),
            Self::BaseUrl(why) => why.fmt(f),
            Self::Key(why) => why.fmt(f),
        }
    }
}

impl Provider {
    pub(crate) fn new(
        name: &str,
        base_url: &str,
        key: Option<&str>,
        dialect: ProviderDialect,
    ) -> Result<Self, ProviderError> {
        // callers are told the name
        let named = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !named {
            return Err(ProviderError::Name);
        }
        let credential = key.map(|key| dialect.credential(key));
        let other = key
            .zip(dialect.key_header())
            .map(|(key, name)| Credential::header(name, key));
        Ok(Self {
            name: name.into(),
            host: base_url.parse().map_err(ProviderError::BaseUrl)?,
            credential: credential.transpose().map_err(ProviderError::Key)?,
            other_credential: other.transpose().map_err(ProviderError::Key)?,
            dialect,
        })
    }

    /// Whether calls are sent with a key of ours instead of the caller's.
    pub(crate) const fn has_key(&self) -> bool {
        self.credential.is_some()
    }

    /// Whether a key of ours goes over the network in clear text.
    pub(crate) fn exposes_key(&self) -> bool {
        self.has_key()
            && *self.host.scheme() == Scheme::HTTP
            && !headers::is_loopback(self.host.authority().host())
    }

    /// The address of a call here. `None`: too long.
    pub(crate) fn uri(&self, method: &Method, asked: &Uri) -> Option<Uri> {
        self.host.address(method, asked).ok()
    }

    /// Replaces the caller's credentials by ours, where there is one.
    pub(crate) fn put_credential<B>(&self, request: &mut Request<B>) {
        let dialect = Dialect::of(request.method(), request.uri());
        // of another dialect is what will be translated
        let is_own = dialect.is_some_and(|dialect| self.dialect.dialects().contains(&dialect));
        let other = self.other_credential.as_ref();
        let other = other.filter(|_| !is_own && !is_at_vertex(request.uri().path()));
        if let Some(credential) = other.or(self.credential.as_ref()) {
            credential.put(request);
        }
    }
}

impl ProviderDialect {
    fn credential(self, key: &str) -> Result<Credential, InvalidCredential> {
        match self {
            // Ollama's cloud takes one; a server of one's own needs none. Bedrock has keys beside signatures
            Self::OpenAi | Self::Bedrock | Self::Ollama | Self::KServe => {
                Credential::header(header::AUTHORIZATION, &format!("Bearer {key}"))
            }
            // Vertex AI has a bearer token for what its vendors have in headers of their own
            Self::Anthropic | Self::Gemini => Credential::key(key),
        }
    }

    /// The header that its vendor has the key in.
    const fn key_header(self) -> Option<HeaderName> {
        match self {
            Self::Anthropic => Some(HeaderName::from_static("x-api-key")),
            Self::Gemini => Some(HeaderName::from_static("x-goog-api-key")),
            Self::OpenAi | Self::Bedrock | Self::Ollama | Self::KServe => None,
        }
    }

    /// What calls of other dialects can be translated into.
    pub(crate) const fn translated(self) -> Option<Dialect> {
        match self {
            Self::OpenAi => Some(Dialect::OpenAiChat),
            Self::Anthropic => Some(Dialect::AnthropicMessages),
            Self::Gemini => Some(Dialect::Gemini),
            Self::Bedrock | Self::Ollama | Self::KServe => None,
        }
    }

    /// The dialects that its calls are written in.
    pub(crate) const fn dialects(self) -> &'static [Dialect] {
        match self {
            Self::OpenAi => &[
                Dialect::OpenAiChat,
                Dialect::OpenAiResponses,
                Dialect::OpenAiCompletions,
                Dialect::OpenAiEmbeddings,
            ],
            Self::Anthropic => &[Dialect::AnthropicMessages],
            Self::Gemini => &[Dialect::Gemini, Dialect::GeminiGrpc, Dialect::VertexGrpc],
            // invoked models are called in their vendors' dialects, which no other path of Bedrock's has
            Self::Bedrock => &[Dialect::BedrockConverse],
            Self::Ollama => &[Dialect::Ollama],
            Self::KServe => &[Dialect::KServeGrpc, Dialect::KServeStreamGrpc],
        }
    }

    /// Who writes calls in this dialect.
    fn speaking(dialect: Dialect) -> Option<Self> {
        let all = [
            Self::OpenAi,
            Self::Anthropic,
            Self::Gemini,
            Self::Bedrock,
            Self::Ollama,
            Self::KServe,
        ];
        all.into_iter()
            .find(|one| one.dialects().contains(&dialect))
    }

    /// What a request speaks: a call's is known by its path. The rest is guessed; a path that several
    /// providers have, such as `/v1/models`, is Anthropic's if the request names an `anthropic-version`.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let path = uri.path();
        // also where a model is invoked in its vendor's dialect
        if path.starts_with("/model/") {
            return Self::Bedrock;
        }
        // whatever the method, as it may be of the same provider, and the headers of a vendor's SDK
        if let Some(spoken) = Dialect::of(&Method::POST, uri).and_then(Self::speaking) {
            return spoken;
        }
        let is_vertex = path.starts_with("/v1/projects/");
        let is_anthropics = path.starts_with("/v1/messages/")
            || headers.contains_key("anthropic-version")
            || (is_vertex && path.contains("/publishers/anthropic/"));
        if is_anthropics {
            return Self::Anthropic;
        }
        let verb = path
            .strip_prefix("/v1/models/")
            .is_some_and(|rest| rest.contains(':'));
        let is_googles = path.starts_with("/v1beta/") || path.starts_with("/google.");
        if verb || is_googles || is_vertex {
            Self::Gemini
        } else if path.starts_with("/inference.") {
            Self::KServe
        } else if path.starts_with("/api/") && !path.starts_with("/api/v1/") {
            Self::Ollama
        } else {
            Self::OpenAi
        }
    }
}

/// Whether a path of Google's or Anthropic's is at Vertex AI.
fn is_at_vertex(path: &str) -> bool {
    path.contains("/projects/") || path.contains("/google.cloud.aiplatform.")
}

/// The first provider that speaks what the request speaks, else the first. `None` if there is none.
pub(crate) fn choose<'p>(
    providers: &'p [Provider],
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<&'p Provider> {
    let spoken = ProviderDialect::of(uri, headers);
    providers
        .iter()
        .find(|provider| provider.dialect == spoken)
        .or_else(|| providers.first())
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("dialect", &self.dialect)
            .field("has_key", &self.has_key())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
