//! Whose credential a request carries.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, uri::PathAndQuery};

use crate::Dialect;

/// Who pays: keys, and the account that would be charged.
const CREDENTIALS: [&str; 13] = [
    "anthropic-user-profile-id",
    "anthropic-workspace-id",
    "api-key",
    "authorization",
    "cookie",
    "cookie2",
    "ocp-apim-subscription-key",
    "openai-organization",
    "openai-project",
    "proxy-authorization",
    "x-api-key",
    "x-goog-api-key",
    "x-goog-user-project",
];

/// AWS signs with several headers and parameters of this name, one of them a token.
const AWS: &str = "x-amz-";

/// The same in a query, in lower case.
const QUERY_CREDENTIALS: [&[u8]; 6] = [
    b"access_token",
    b"api-key",
    b"api_key",
    b"apikey",
    b"key",
    b"subscription-key",
];

/// An app's own credential for a provider, put in place of the caller's.
///
/// `Debug` does not show it, and the header value that it becomes is marked as sensitive.
///
/// ```
/// use http::Request;
/// use llm_exchange::Credential;
///
/// let ours = Credential::key("sk-ours")?;
/// let mut request = Request::post("https://api.anthropic.com/v1/messages?key=theirs")
///     .header("authorization", "Bearer sk-theirs")
///     .body(())?;
/// ours.put(&mut request);
/// assert_eq!(request.headers()["x-api-key"], "sk-ours");
/// assert_eq!(request.headers().len(), 1);
/// assert_eq!(request.uri().query(), None);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credential(Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Key {
        bearer: HeaderValue,
        plain: HeaderValue,
    },
    Header(HeaderName, HeaderValue),
}

/// The credential has characters that no header can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCredential(());

impl fmt::Display for InvalidCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credential has characters that a header can't carry")
    }
}

impl std::error::Error for InvalidCredential {}

impl Credential {
    /// A key, put where the dialect of the request has it: `x-api-key` in Anthropic's,
    /// `x-goog-api-key` in Gemini's, else `authorization: Bearer`.
    ///
    /// # Errors
    ///
    /// [`InvalidCredential`].
    pub fn key(key: &str) -> Result<Self, InvalidCredential> {
        Ok(Self(Kind::Key {
            bearer: sensitive(&format!("Bearer {key}"))?,
            plain: sensitive(key)?,
        }))
    }

    /// A header of this name and value, for what [`key`](Self::key) does not fit (`api-key` of Azure).
    ///
    /// # Errors
    ///
    /// [`InvalidCredential`].
    pub fn header(name: HeaderName, value: &str) -> Result<Self, InvalidCredential> {
        Ok(Self(Kind::Header(name, sensitive(value)?)))
    }

    /// Removes the caller's credentials from a request, and puts this one in.
    pub fn put<B>(&self, request: &mut Request<B>) {
        remove_credentials(request);
        let (name, value) = match &self.0 {
            Kind::Header(name, value) => (name.clone(), value),
            Kind::Key { bearer, plain } => match header_of_key(request) {
                header::AUTHORIZATION => (header::AUTHORIZATION, bearer),
                name => (name, plain),
            },
        };
        request.headers_mut().insert(name, value.clone());
    }
}

/// Where the API of a request has its key.
fn header_of_key<B>(request: &Request<B>) -> HeaderName {
    let dialect = Dialect::of(request.method(), request.uri());
    let own = dialect.and_then(|dialect| (dialect.wire().key_header)(request.uri().path()));
    own.unwrap_or(header::AUTHORIZATION)
}

fn sensitive(text: &str) -> Result<HeaderValue, InvalidCredential> {
    let mut value = HeaderValue::from_str(text).map_err(|_| InvalidCredential(()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Removes from a request whatever says who pays: credential and account headers of every provider,
/// cookies, headers that are marked as sensitive, and keys in the query.
pub fn remove_credentials<B>(request: &mut Request<B>) {
    remove_headers(request.headers_mut());
    let Some(query) = request.uri().query() else {
        return;
    };
    let Cow::Owned(query) = without_keys(query) else {
        return;
    };
    let path = request.uri().path();
    let text = match &*query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    // a part of a valid path and query is valid too
    parts.path_and_query = PathAndQuery::try_from(text).ok();
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// Whatever in a request says who pays: the headers that [`remove_credentials`] removes and the keys
/// in its query, each with its value as written, and a name and password in its address.
///
/// The order is that of the names, and of one name's values as they stand. For a layer that keeps
/// something apart for each credential: hash them with a key, never keep or show them.
pub fn credentials<B>(request: &Request<B>) -> Vec<(&str, &[u8])> {
    let mut found: Vec<_> = each_credential(request).collect();
    found.sort_by_key(|(name, _)| *name);
    found
}

/// Hands what [`credentials`] returns to `read`; of a usual request, with a few of them, without an
/// allocation.
pub fn with_credentials<'r, B, T>(
    request: &'r Request<B>,
    read: impl FnOnce(&[(&'r str, &'r [u8])]) -> T,
) -> T {
    let mut few = [("", &b""[..]); 4];
    let mut count = 0;
    for found in each_credential(request) {
        let Some(place) = few.get_mut(count) else {
            return read(&credentials(request));
        };
        *place = found;
        count += 1;
    }
    few[..count].sort_by_key(|(name, _)| *name);
    read(&few[..count])
}

fn each_credential<B>(request: &Request<B>) -> impl Iterator<Item = (&str, &[u8])> {
    let headers = request.headers().iter();
    let headers = headers
        .filter(|(name, value)| is_credential(name, value))
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let query = request.uri().query().unwrap_or_default();
    let keys = query.split('&').filter(|pair| is_key(pair));
    let authority = request.uri().authority();
    let user = authority.and_then(|authority| authority.as_str().rsplit_once('@'));
    headers
        .chain(keys.map(|pair| ("?", pair.as_bytes())))
        .chain(user.map(|(user, _)| ("@", user.as_bytes())))
}

/// What of a credential's value is the same in each call: AWS signs each anew, and of such a value only
/// the name of the key stays.
///
/// ```
/// let signed = b"AWS4-HMAC-SHA256 Credential=AKID/20261125/us-east-1/bedrock/aws4_request, Signature=ab";
/// assert_eq!(llm_exchange::without_signature(signed), b"AWS4-HMAC-SHA256 Credential=AKID");
/// assert_eq!(llm_exchange::without_signature(b"Bearer a/b"), b"Bearer a/b");
/// ```
#[must_use]
pub fn without_signature(value: &[u8]) -> &[u8] {
    let end = value
        .starts_with(b"AWS4-")
        .then(|| memchr::memchr(b'/', value))
        .flatten();
    &value[..end.unwrap_or(value.len())]
}

/// The query of an address without the keys in it.
#[must_use]
pub fn query_without_credentials(uri: &Uri) -> Cow<'_, str> {
    without_keys(uri.query().unwrap_or_default())
}

fn is_credential(name: &HeaderName, value: &HeaderValue) -> bool {
    let name = name.as_str();
    value.is_sensitive() || name.starts_with(AWS) || CREDENTIALS.contains(&name)
}

pub(crate) fn remove_headers(headers: &mut HeaderMap) {
    for name in CREDENTIALS {
        headers.remove(name);
    }
    let others: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| value.is_sensitive() || name.as_str().starts_with(AWS))
        .map(|(name, _)| name.clone())
        .collect();
    for name in others {
        headers.remove(name);
    }
}

/// A query without the parameters that carry a key. Owned if there were any.
pub(crate) fn without_keys(query: &str) -> Cow<'_, str> {
    if query.split('&').any(is_key) {
        let kept: Vec<_> = query.split('&').filter(|pair| !is_key(pair)).collect();
        kept.join("&").into()
    } else {
        query.into()
    }
}

fn is_key(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    let name = decoded(name).to_ascii_lowercase();
    QUERY_CREDENTIALS.contains(&&*name) || name.starts_with(AWS.as_bytes())
}

/// Percent-decodes; what is no escape stays.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = text.as_bytes();
    let mut all = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = match (byte, bytes.get(at + 1), bytes.get(at + 2)) {
            (b'%', Some(&high), Some(&low)) => digit(high).zip(digit(low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                all.push((high * 16 + low) as u8);
                at += 3;
            }
            None => {
                all.push(byte);
                at += 1;
            }
        }
    }
    all
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::post(uri).body(()).unwrap();
        for (name, value) in headers {
            let (name, value) = (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
            request.headers_mut().append(name, value);
        }
        request
    }

    #[test]
    fn few_credentials_or_many_are_the_same_however_they_are_read() {
        let uris = [
            "https://h/v1/messages",
            "https://u:p@h/v1/messages?key=k&a=b&api_key=l",
        ];
        let headers = [
            ("x-api-key", "x"),
            ("authorization", "Bearer y"),
            ("authorization", "Bearer x"),
            ("accept", "*/*"),
            ("openai-organization", "o"),
        ];
        for uri in uris {
            for count in 0..=headers.len() {
                let request = request(uri, &headers[..count]);
                let all = with_credentials(&request, <[_]>::to_vec);
                assert_eq!(all, credentials(&request), "{uri} {count}");
                assert!(all.is_sorted_by_key(|(name, _)| *name));
            }
        }
    }

    #[test]
    fn every_credential_and_account_header_goes_and_what_shapes_the_answer_stays() {
        let mut request = request(
            "https://h/v1/messages",
            &[
                ("authorization", "Bearer x"),
                ("authorization", "Bearer y"),
                ("api-key", "x"),
                ("x-api-key", "x"),
                ("x-goog-api-key", "x"),
                ("x-goog-user-project", "x"),
                ("openai-organization", "x"),
                ("openai-project", "x"),
                ("anthropic-workspace-id", "x"),
                ("anthropic-user-profile-id", "x"),
                ("x-amz-security-token", "x"),
                ("x-amz-date", "x"),
                ("cookie", "a=b"),
                ("proxy-authorization", "Basic x"),
                ("ocp-apim-subscription-key", "x"),
                ("anthropic-version", "2026-10-21"),
                ("anthropic-beta", "a"),
                ("content-type", "application/json"),
                ("user-agent", "x"),
            ],
        );
        remove_credentials(&mut request);
        let left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        let stay = [
            "anthropic-version",
            "anthropic-beta",
            "content-type",
            "user-agent",
        ];
        assert_eq!(left.len(), stay.len());
        assert!(stay.iter().all(|name| left.contains(name)), "{left:?}");
    }

    #[test]
    fn whatever_is_removed_is_a_credential_in_an_order_of_its_own() {
        let two = [("x-api-key", "b"), ("authorization", "a"), ("accept", "c")];
        let asked = "https://n:p@h/p?key=d&alt=sse";
        let there = request(asked, &two);
        let found = credentials(&there);
        let expected: [(&str, &[u8]); 4] = [
            ("?", b"key=d"),
            ("@", b"n:p"),
            ("authorization", b"a"),
            ("x-api-key", b"b"),
        ];
        assert_eq!(found, expected);
        let turned = request(asked, &[two[1], two[2], two[0]]);
        assert_eq!(credentials(&turned), expected);
        assert_eq!(query_without_credentials(there.uri()), "alt=sse");
        assert!(CREDENTIALS.is_sorted());
        assert_eq!(credentials(&request("/p", &[("accept", "c")])), []);
    }

    #[test]
    fn a_header_that_the_app_calls_sensitive_is_a_credential() {
        let mut request = request(
            "https://h/v1/messages",
            &[("x-own-auth", "a"), ("x-own", "b")],
        );
        let own = request.headers_mut().get_mut("x-own-auth").unwrap();
        own.set_sensitive(true);
        remove_credentials(&mut request);
        assert!(!request.headers().contains_key("x-own-auth"));
        assert_eq!(request.headers()["x-own"], "b");
    }

    #[test]
    fn a_key_in_a_query_is_found_however_it_is_written() {
        assert_eq!(without_keys("a=b&c"), "a=b&c");
        assert_eq!(
            without_keys("key=1&a=b&k%65y=2&access_token=3&key&X-Amz-Signature=4&API-Key=5"),
            "a=b"
        );
        assert_eq!(without_keys("monkey=1&keys=2"), "monkey=1&keys=2");
        assert_eq!(without_keys(""), "");
    }

    #[test]
    fn the_rest_of_the_address_stays_when_a_key_goes() {
        for (asked, left) in [
            ("https://h:1/p?key=1", "https://h:1/p"),
            (
                "https://h/p?alt=sse&key=1&x=%20",
                "https://h/p?alt=sse&x=%20",
            ),
            ("/p?a=b&key=1", "/p?a=b"),
            ("/p?a=b", "/p?a=b"),
        ] {
            let mut request = request(asked, &[]);
            remove_credentials(&mut request);
            assert_eq!(request.uri(), left);
        }
    }

    #[test]
    fn each_dialect_has_its_own_place_for_the_key_and_it_is_sensitive() {
        let ours = Credential::key("ours").unwrap();
        for (path, name, value) in [
            ("/v1/chat/completions", "authorization", "Bearer ours"),
            ("/v1/messages", "x-api-key", "ours"),
            ("/v1/models", "authorization", "Bearer ours"),
        ] {
            let theirs = [("x-api-key", "theirs"), ("authorization", "theirs")];
            let mut request = request(path, &theirs);
            ours.put(&mut request);
            assert_eq!(request.headers().len(), 1);
            assert_eq!(request.headers()[name], value);
            assert!(request.headers()[name].is_sensitive());
        }
        let azure = Credential::header(HeaderName::from_static("api-key"), "ours").unwrap();
        let mut request = request("/v1/chat/completions", &[("authorization", "theirs")]);
        azure.put(&mut request);
        assert_eq!(request.headers()["api-key"], "ours");
        assert_eq!(request.headers().len(), 1);
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused_and_none_is_shown() {
        assert!(Credential::key("a\nb").is_err());
        assert!(!format!("{:?}", Credential::key("canary").unwrap()).contains("canary"));
    }
}
