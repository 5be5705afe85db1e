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
}

/// A provider as configured.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) name: Arc<str>,
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at the end, and without the `/v1` that every path brings.
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
            Self::OpenAi => (header::AUTHORIZATION, format!("Bearer {key}")),
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
        if verb { Self::Gemini } else { Self::OpenAi }
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
    let prefix = path.strip_suffix("/v1").unwrap_or(path);
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
mod tests {
    use super::*;

    fn provider(name: &str, base: &str, key: Option<&str>, dialect: ProviderDialect) -> Provider {
        Provider::new(name, base, key, dialect).unwrap()
    }

    fn joined(base: &str, asked: &str, key: Option<&str>) -> String {
        let provider = provider("p", base, key, ProviderDialect::OpenAi);
        provider.uri(&asked.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn the_path_follows_the_base_and_v1_is_not_doubled() {
        let chat = "/v1/chat/completions";
        for (base, whole) in [
            (
                "https://api.openai.com",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "https://api.openai.com/",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "https://api.openai.com/v1",
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "https://api.openai.com/v1/",
                "https://api.openai.com/v1/chat/completions",
            ),
            ("http://[::1]:9001", "http://[::1]:9001/v1/chat/completions"),
            (
                "https://api.groq.com/openai",
                "https://api.groq.com/openai/v1/chat/completions",
            ),
            ("http://h/v1x", "http://h/v1x/v1/chat/completions"),
        ] {
            assert_eq!(joined(base, chat, None), whole);
        }
    }

    #[test]
    fn the_query_goes_on_but_a_key_in_it_only_without_one_of_ours() {
        let asked = "/v1/models/g:generateContent?alt=sse&key=secret&x=%20";
        let own = "http://h/v1/models/g:generateContent?alt=sse&x=%20";
        assert_eq!(joined("http://h", asked, Some("k")), own);
        assert_eq!(joined("http://h", asked, None), format!("http://h{asked}"));
        assert_eq!(
            joined("http://h", "/v1/x?key=1", Some("k")),
            "http://h/v1/x"
        );
    }

    #[test]
    fn a_base_that_is_no_plain_http_address_is_refused() {
        for base in [
            "",
            "api.openai.com",
            "/v1",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h/?a=b",
            "http://h/#x",
            "http://h h",
        ] {
            let made = Provider::new("p", base, None, ProviderDialect::OpenAi);
            assert!(matches!(made, Err(ProviderError::BaseUrl(_))), "{base}");
        }
    }

    #[test]
    fn each_dialect_has_its_own_place_for_the_key_and_it_is_sensitive() {
        for (dialect, name, value) in [
            (ProviderDialect::OpenAi, "authorization", "Bearer k"),
            (ProviderDialect::Anthropic, "x-api-key", "k"),
            (ProviderDialect::Gemini, "x-goog-api-key", "k"),
        ] {
            let mut headers = HeaderMap::new();
            for credential in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
                headers.insert(credential, HeaderValue::from_static("caller"));
            }
            provider("p", "http://h", Some("k"), dialect).put_credential(&mut headers);
            assert_eq!(headers.len(), 1);
            assert_eq!(headers[name], value);
            assert!(headers[name].is_sensitive());
        }
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused() {
        let made = Provider::new("p", "http://h", Some("a\nb"), ProviderDialect::OpenAi);
        assert!(matches!(made, Err(ProviderError::Key)));
    }

    #[test]
    fn the_first_provider_of_the_dialect_serves_and_else_the_first() {
        use ProviderDialect::{Anthropic, Gemini, OpenAi};
        let all = [
            provider("a", "http://h", None, Anthropic),
            provider("o", "http://h", None, OpenAi),
            provider("o2", "http://h", None, OpenAi),
        ];
        let plain = HeaderMap::new();
        let mut version = HeaderMap::new();
        version.insert("anthropic-version", HeaderValue::from_static("2026-10-21"));
        let name = |all, path, headers| &*choose(all, path, headers).unwrap().name;
        assert_eq!(name(&all, "/v1/chat/completions", &plain), "o");
        assert_eq!(name(&all, "/v1/embeddings", &plain), "o");
        assert_eq!(name(&all, "/v1/messages", &plain), "a");
        assert_eq!(name(&all, "/v1/messages/count_tokens", &plain), "a");
        assert_eq!(name(&all, "/v1/messagesx", &plain), "o");
        assert_eq!(name(&all, "/v1/models", &version), "a");
        assert_eq!(name(&all, "/v1/models", &plain), "o");
        assert_eq!(name(&all, "/v1/models/g:generateContent", &plain), "a");
        assert_eq!(
            ProviderDialect::of("/v1/models/g:generateContent", &plain),
            Gemini
        );
        assert!(choose(&[], "/v1/models", &plain).is_none());
    }
}
