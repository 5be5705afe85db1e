//! Where a call goes.

mod path;

use std::{borrow::Cow, fmt, str::FromStr};

use http::{
    Method, Request, Uri, header,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};

pub(crate) use self::path::{from_version, model_and_verb, service_and_method};
use crate::credential;

/// A provider's address: scheme, host, port, and the path in front of the API's own.
///
/// It is written as one writes the base URL of an SDK, with or without the version at its end:
/// `https://api.openai.com`, `https://api.groq.com/openai/v1`, `http://127.0.0.1:11434`. Where the path
/// has no version of its own, the `/v1` of the call stays.
///
/// ```
/// use http::Request;
/// use llm_exchange::Host;
///
/// let host: Host = "https://generativelanguage.googleapis.com/v1beta/openai".parse()?;
/// let mut request = Request::post("https://api.openai.com/v1/chat/completions")
///     .header("authorization", "Bearer sk-of-openai")
///     .body(())?;
/// host.redirect(&mut request)?;
/// assert_eq!(
///     request.uri(),
///     "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"
/// );
/// assert!(request.headers().is_empty());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Host {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    path: Box<str>,
}

/// Why a text is no address of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHost(&'static str);

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidHost {}

/// The address of a call at a host is none, since it is too long. The request is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRedirected(());

impl fmt::Display for NotRedirected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path of the request is too long")
    }
}

impl std::error::Error for NotRedirected {}

impl FromStr for Host {
    type Err = InvalidHost;

    /// `http://` or `https://`, a host, and a port and a path if needed.
    fn from_str(url: &str) -> Result<Self, InvalidHost> {
        const WRONG: InvalidHost =
            InvalidHost("it takes http:// or https://, a host, and a port and a path if needed");
        if url.contains(['?', '#']) {
            return Err(InvalidHost("it can't have a query or a fragment"));
        }
        let parts = Uri::try_from(url).map_err(|_| WRONG)?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(WRONG);
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(WRONG);
        }
        if authority.as_str().contains('@') {
            return Err(InvalidHost(
                "it can't have a user or a password; a credential is given apart",
            ));
        }
        if authority.host().is_empty() {
            return Err(WRONG);
        }
        let path = parts.path_and_query.as_ref().map_or("", |path| path.path());
        Ok(Self {
            scheme,
            authority,
            path: path.trim_end_matches('/').into(),
        })
    }
}

impl Host {
    /// `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host and port.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether a URI has the same scheme, host and port. One without an authority is elsewhere.
    #[must_use]
    pub fn is_origin_of(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return false;
        };
        *scheme == self.scheme
            && authority.host().eq_ignore_ascii_case(self.authority.host())
            && port(scheme, authority) == port(&self.scheme, &self.authority)
    }

    /// Sends a request to this host instead of its own.
    ///
    /// An LLM call gets the path that its API has here, whatever stood in front of it where it was
    /// going; any other request keeps its path. Where scheme, host or port change, every
    /// credential and account header, `cookie` and any key in the query are removed, and `host`,
    /// which the client writes anew.
    ///
    /// # Errors
    ///
    /// [`NotRedirected`]; the request is unchanged then.
    pub fn redirect<B>(&self, request: &mut Request<B>) -> Result<(), NotRedirected> {
        let leaves = !self.is_origin_of(request.uri());
        let asked = request.uri();
        let query = match asked.query() {
            Some(query) if leaves => credential::without_keys(query),
            query => query.unwrap_or_default().into(),
        };
        let path = path::at_host(request.method(), asked, &self.path);
        let uri = self.uri(&path, &query).ok_or(NotRedirected(()))?;
        *request.uri_mut() = uri;
        if leaves {
            credential::remove_headers(request.headers_mut());
            request.headers_mut().remove(header::HOST);
        }
        Ok(())
    }

    /// Where a request goes at this host that was going there, with the query that it has.
    ///
    /// # Errors
    ///
    /// [`NotRedirected`].
    pub fn address(&self, method: &Method, asked: &Uri) -> Result<Uri, NotRedirected> {
        let path = path::at_host(method, asked, &self.path);
        let query = asked.query().unwrap_or_default();
        self.uri(&path, query).ok_or(NotRedirected(()))
    }

    fn uri(&self, path: &str, query: &str) -> Option<Uri> {
        let text: Cow<'_, str> = match query {
            "" => path.into(),
            query => format!("{path}?{query}").into(),
        };
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(&*text).ok()?);
        Uri::from_parts(parts).ok()
    }
}

fn port(scheme: &Scheme, authority: &Authority) -> Option<u16> {
    authority.port_u16().or_else(|| match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirected(base: &str, asked: &str) -> String {
        let host: Host = base.parse().unwrap();
        let mut request = Request::post(asked).body(()).unwrap();
        host.redirect(&mut request).unwrap();
        request.uri().to_string()
    }

    #[test]
    fn the_path_follows_the_base_and_the_version_is_not_doubled() {
        for (base, whole) in [
            ("https://h", "https://h/v1/chat/completions"),
            ("https://h/", "https://h/v1/chat/completions"),
            ("https://h/v1", "https://h/v1/chat/completions"),
            ("https://h/v1/", "https://h/v1/chat/completions"),
            ("http://[::1]:9001", "http://[::1]:9001/v1/chat/completions"),
            ("https://h/openai", "https://h/openai/v1/chat/completions"),
            ("http://h/v1x", "http://h/v1x/v1/chat/completions"),
            ("http://h/v", "http://h/v/v1/chat/completions"),
            (
                "https://h/v1beta/openai/",
                "https://h/v1beta/openai/chat/completions",
            ),
            (
                "https://h/v1/account/gateway/openai",
                "https://h/v1/account/gateway/openai/chat/completions",
            ),
        ] {
            for asked in [
                "/v1/chat/completions",
                "https://api.deepseek.com/chat/completions",
                "https://api.groq.com/openai/v1/chat/completions/",
            ] {
                assert_eq!(redirected(base, asked), whole);
            }
        }
        for (base, whole) in [
            ("https://h", "https://h/v1/messages"),
            ("https://h/v1", "https://h/v1/messages"),
            ("https://h/anthropic", "https://h/anthropic/v1/messages"),
            (
                "https://h/v1/a/anthropic",
                "https://h/v1/a/anthropic/v1/messages",
            ),
        ] {
            assert_eq!(
                redirected(base, "http://x/y/v1/messages?beta=true"),
                format!("{whole}?beta=true")
            );
        }
    }

    #[test]
    fn what_is_no_llm_call_keeps_its_path() {
        assert_eq!(
            redirected("http://h/v1", "/v1/models"),
            "http://h/v1/models"
        );
        assert_eq!(
            redirected("http://h/p", "/v1/models?a=b"),
            "http://h/p/v1/models?a=b"
        );
        assert_eq!(
            redirected("http://h/v1beta", "/v1beta/models"),
            "http://h/v1beta/models"
        );
        assert_eq!(redirected("http://h/v1", "/v1x/y"), "http://h/v1/v1x/y");
        assert_eq!(redirected("http://h/v1", "/v1"), "http://h/v1");
    }

    #[test]
    fn a_model_in_the_path_stays_there_behind_the_version_of_its_api() {
        let call = "/v1beta/models/g:generateContent?alt=sse";
        for base in ["http://h", "http://h/v1beta", "http://h/v1beta/"] {
            assert_eq!(redirected(base, call), format!("http://h{call}"));
        }
        let behind = redirected("http://h/p", &format!("http://x/proxy{call}"));
        assert_eq!(behind, format!("http://h/p{call}"));
    }

    #[test]
    fn what_a_proxy_put_before_bedrocks_path_is_left_out() {
        for call in [
            "/model/amazon.nova-pro-v1%3A0/converse",
            "/model/model/converse-stream",
            "/model/us.anthropic.claude/invoke",
        ] {
            for before in ["http://x", "http://x/v1/bedrock", "http://x/model/a"] {
                let behind = redirected("http://h/p", &format!("{before}{call}"));
                assert_eq!(behind, format!("http://h/p{call}"));
            }
        }
    }

    #[test]
    fn an_address_keeps_the_whole_query() {
        let host: Host = "http://h/p".parse().unwrap();
        let asked = "/v1/files?key=1&x=%20".parse().unwrap();
        let there = host.address(&Method::GET, &asked).unwrap();
        assert_eq!(there, "http://h/p/v1/files?key=1&x=%20");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let host: Host = "https://API.example.com/base".parse().unwrap();
        let same = |uri: &str| host.is_origin_of(&uri.parse().unwrap());
        assert!(same("https://api.example.com/"));
        assert!(same("https://api.example.com:443/x"));
        for other in [
            "http://api.example.com/",
            "http://api.example.com:443/",
            "https://api.example.com:8443/",
            "https://example.com/",
            "https://api.example.com.evil.example/",
            "/v1/chat/completions",
            "api.example.com:443",
        ] {
            assert!(!same(other), "{other}");
        }
    }

    #[test]
    fn an_address_that_is_no_plain_http_address_is_refused() {
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
            "https://:443",
        ] {
            assert!(base.parse::<Host>().is_err(), "{base}");
        }
    }

    #[test]
    fn a_call_whose_path_is_too_long_is_left_as_it_is() {
        let host: Host = format!("http://h/{}", "p".repeat(40_000)).parse().unwrap();
        let asked = format!("http://x/{}", "a".repeat(40_000));
        let mut request = Request::post(&asked)
            .header("authorization", "Bearer x")
            .body(())
            .unwrap();
        host.redirect(&mut request).unwrap_err();
        assert_eq!(request.uri(), asked.as_str());
        assert_eq!(request.headers().len(), 1);
    }
}
