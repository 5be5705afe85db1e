//! Where calls go: the choice of a provider, its address and its credential.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, header,
    uri::{Authority, PathAndQuery, Scheme},
};
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
    Ollama,
}

/// Paths that are proxied. Whatever is under them the provider knows, and gRPC's services by their
/// full names.
const SERVED: [&str; 6] = [
    "/v1/",
    "/v1beta/",
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
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at the end, and without the version that every path brings.
    prefix: String,
    credential: Option<(HeaderName, HeaderValue)>,
    dialect: ProviderDialect,
}

/// What is wrong with a provider.
#[derive(Debug)]
pub(crate) enum ProviderError {
    Name,
    BaseUrl(&'static str),
    Key,
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a name is 1 to 64 letters, digits, '-', '_' or '.'",
            Self::BaseUrl(why) => why,
            Self::Key => "the key has characters that a header can't carry",
        })
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
        let (scheme, authority, prefix) = base(base_url).map_err(ProviderError::BaseUrl)?;
        let credential = key
            .map(|key| dialect.credential(key).ok_or(ProviderError::Key))
            .transpose()?;
        Ok(Self {
            name: name.into(),
            scheme,
            authority,
            prefix,
            credential,
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
            && self.scheme == Scheme::HTTP
            && !headers::is_loopback(self.authority.host())
    }

    /// The address of a call: the base with the caller's path and query. `None`: too long.
    pub(crate) fn uri(&self, asked: &Uri) -> Option<Uri> {
        let mut path = format!("{}{}", self.prefix, asked.path());
        if let Some(query) = asked.query() {
            let query = if self.has_key() {
                headers::without_keys(query)
            } else {
                query.into()
            };
            if !query.is_empty() {
                path.push('?');
                path.push_str(&query);
            }
        }
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
        Uri::from_parts(parts).ok()
    }

    /// Replaces the caller's credentials by ours, where there is one.
    pub(crate) fn put_credential(&self, headers: &mut HeaderMap) {
        if let Some((name, value)) = &self.credential {
            headers::remove_credentials(headers);
            headers.insert(name, value.clone());
        }
    }
}

impl ProviderDialect {
    fn credential(self, key: &str) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match self {
            // Ollama's cloud takes one; a server of one's own needs none
            Self::OpenAi | Self::Ollama => (header::AUTHORIZATION, format!("Bearer {key}")),
            Self::Anthropic => (HeaderName::from_static("x-api-key"), key.to_owned()),
            Self::Gemini => (HeaderName::from_static("x-goog-api-key"), key.to_owned()),
        };
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }

    /// What a request speaks, by its path; a path that several providers have, such as
    /// `/v1/models`, is Anthropic's if the request names an `anthropic-version`.
    pub(crate) fn of(path: &str, headers: &HeaderMap) -> Self {
        if path.ends_with("/chat/completions") {
            return Self::OpenAi;
        }
        let messages = path
            .strip_prefix("/v1/messages")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if messages || headers.contains_key("anthropic-version") {
            return Self::Anthropic;
        }
        let verb = path
            .strip_prefix("/v1/models/")
            .is_some_and(|rest| rest.contains(':'));
        if verb || path.starts_with("/v1beta/") || path.starts_with("/google.") {
            Self::Gemini
        } else if path.starts_with("/api/") {
            Self::Ollama
        } else {
            Self::OpenAi
        }
    }
}

/// The first provider that speaks what the request speaks, else the first. `None` if there is none.
pub(crate) fn choose<'p>(
    providers: &'p [Provider],
    path: &str,
    headers: &HeaderMap,
) -> Option<&'p Provider> {
    let spoken = ProviderDialect::of(path, headers);
    providers
        .iter()
        .find(|provider| provider.dialect == spoken)
        .or_else(|| providers.first())
}

fn base(url: &str) -> Result<(Scheme, Authority, String), &'static str> {
    const WRONG: &str = "it takes http:// or https://, a host, and a port and a path if needed";
    if url.contains(['?', '#']) {
        return Err("it can't have a query or a fragment");
    }
    let parts = Uri::try_from(url).map_err(|_| WRONG)?.into_parts();
    let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
        return Err(WRONG);
    };
    if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
        return Err(WRONG);
    }
    if authority.as_str().contains('@') {
        return Err("it can't have a user or a password; a key goes into api_key_env");
    }
    if authority.host().is_empty() {
        return Err(WRONG);
    }
    let path = parts
        .path_and_query
        .map_or_else(String::new, |path| path.path().to_owned());
    let path = path.trim_end_matches('/');
    let version = ["/v1", "/v1beta"]
        .iter()
        .find_map(|end| path.strip_suffix(end));
    let prefix = version.unwrap_or(path);
    Ok((scheme, authority, prefix.to_owned()))
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
