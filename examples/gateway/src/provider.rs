//! The providers, which one a call goes to, and as what.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use serde::Deserialize;

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Speaks {
    Openai,
    Anthropic,
    /// Passed through untouched: the layers do not read it yet.
    Gemini,
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

impl Speaks {
    /// What a path under `/v1/` speaks.
    fn of(path: &str) -> Self {
        if path == "/v1/messages" || path.starts_with("/v1/messages/") {
            Self::Anthropic
        } else {
            Self::Openai
        }
    }

    pub(crate) fn credential(self, key: &str) -> String {
        match self {
            Self::Openai => format!("Bearer {key}"),
            Self::Anthropic | Self::Gemini => key.to_owned(),
        }
    }

    const fn credential_header(self) -> HeaderName {
        match self {
            Self::Openai => header::AUTHORIZATION,
            Self::Anthropic => X_API_KEY,
            Self::Gemini => X_GOOG_API_KEY,
        }
    }
}

/// Where calls go.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    name: String,
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    prefix: String,
    speaks: Speaks,
    /// `None`: the caller's own credential passes through.
    key: Option<HeaderValue>,
}

impl Provider {
    pub(crate) fn new(
        name: String,
        base_url: &str,
        speaks: Speaks,
        key: Option<HeaderValue>,
    ) -> Result<Self, &'static str> {
        let url: Uri = base_url.parse().map_err(|_| "is no URL")?;
        let parts = url.into_parts();
        let path = parts.path_and_query.as_ref();
        if path.is_some_and(|path| path.query().is_some()) {
            return Err("has a query");
        }
        let scheme = parts
            .scheme
            .filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme))
            .ok_or("does not begin with http:// or https://")?;
        let authority = parts.authority.ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err("has a user in it; use api_key_env");
        }
        let prefix = path
            .map_or("", PathAndQuery::path)
            .trim_end_matches('/')
            .to_owned();
        Ok(Self {
            name,
            scheme,
            authority,
            prefix,
            speaks,
            key,
        })
    }

    /// The first provider that speaks what the path asks for; if none does, the first.
    pub(crate) fn of_path<'p>(providers: &'p [Self], path: &str) -> Option<&'p Self> {
        let wanted = Speaks::of(path);
        providers
            .iter()
            .find(|provider| provider.speaks == wanted)
            .or(providers.first())
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn summary(&self) -> String {
        let key = if self.key.is_some() {
            "key from the environment"
        } else {
            "callers' own keys"
        };
        format!(
            "{} ({}://{}{}, {key})",
            self.name, self.scheme, self.authority, self.prefix
        )
    }

    /// The address of a call at this provider. A prefix that ends in `/v1` is not doubled.
    pub(crate) fn uri(&self, asked: &Uri) -> Option<Uri> {
        let path = asked.path();
        let path = match (self.prefix.ends_with("/v1"), path.strip_prefix("/v1")) {
            (true, Some(rest)) => rest,
            _ => path,
        };
        let mut target = format!("{}{path}", self.prefix);
        let query: Vec<_> = asked
            .query()
            .into_iter()
            .flat_map(|query| query.split('&'))
            .filter(|pair| self.key.is_none() || !pair.starts_with("key="))
            .collect();
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query.join("&"));
        }
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
            .ok()
    }

    /// Puts our credential in the place of whatever the caller sent, if there is one of ours.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some(key) = &self.key {
            for name in [header::AUTHORIZATION, X_API_KEY, API_KEY, X_GOOG_API_KEY] {
                headers.remove(name);
            }
            headers.insert(self.speaks.credential_header(), key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(base_url: &str, speaks: Speaks, key: Option<&'static str>) -> Provider {
        Provider::new(
            "p".into(),
            base_url,
            speaks,
            key.map(HeaderValue::from_static),
        )
        .unwrap()
    }

    #[test]
    fn the_path_is_joined_to_the_prefix_and_v1_not_doubled() {
        for (base, asked, uri) in [
            ("https://h", "/v1/models?a=1", "https://h/v1/models?a=1"),
            ("https://h/", "/v1/models", "https://h/v1/models"),
            ("https://h/v1/", "/v1/models", "https://h/v1/models"),
            (
                "http://h:1/openai/v1",
                "/v1/models",
                "http://h:1/openai/v1/models",
            ),
            (
                "http://h:1/proxy",
                "/v1/models",
                "http://h:1/proxy/v1/models",
            ),
        ] {
            let joined = provider(base, Speaks::Openai, None).uri(&asked.parse().unwrap());
            assert_eq!(joined.unwrap().to_string(), uri);
        }
    }

    #[test]
    fn our_key_takes_the_place_of_every_credential_of_the_caller() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "x-other",
        ] {
            headers.insert(name, HeaderValue::from_static("caller"));
        }
        let own = provider("https://h", Speaks::Anthropic, Some("ours"));
        own.authorize(&mut headers);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["x-api-key"], "ours");
        let uri = own
            .uri(&"/v1/messages?key=secret&beta=true".parse().unwrap())
            .unwrap();
        assert_eq!(uri.query(), Some("beta=true"));
    }

    #[test]
    fn without_a_key_of_ours_the_callers_passes_through() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("caller"));
        provider("https://h", Speaks::Openai, None).authorize(&mut headers);
        assert_eq!(headers["authorization"], "caller");
    }

    #[test]
    fn a_call_goes_to_the_first_provider_that_speaks_it_or_to_the_first() {
        let openai = provider("https://a", Speaks::Openai, None);
        let claude = provider("https://b", Speaks::Anthropic, None);
        let both = [openai.clone(), claude.clone()];
        let at = |providers: &[Provider], path| {
            Provider::of_path(providers, path)
                .unwrap()
                .authority
                .to_string()
        };
        assert_eq!(at(&both, "/v1/chat/completions"), "a");
        assert_eq!(at(&both, "/v1/messages"), "b");
        assert_eq!(at(&both, "/v1/messages/count_tokens"), "b");
        assert_eq!(at(&[openai], "/v1/messages"), "a");
        assert_eq!(at(&[claude], "/v1/models"), "b");
    }
}
