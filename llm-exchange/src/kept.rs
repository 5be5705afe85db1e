//! A request that is kept at little cost, so that it can be sent again.

use std::fmt;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::Payload;

/// A request that is kept to be sent again: the body by reference count, URI and headers as one run of
/// bytes.
///
/// Most calls are sent once, and cloning the header map for the rest is what layers that send calls
/// again would spend most of their time on: two reference counts for each header, up and down
/// again. One copy of the text costs less than half of that; only a call that is sent again pays for
/// the parsing.
///
/// ```
/// # use http::Request;
/// # use llm_exchange::{KeptRequest, Payload};
/// let request = Request::post("https://api.openai.com/v1/chat/completions")
///     .header("authorization", "Bearer sk-…")
///     .body(Payload::new(String::new()))?;
/// let kept = KeptRequest::keep(&request).expect("a whole body can be sent again");
/// # drop(request); // sent
/// let again = kept.request().expect("it was a request before");
/// assert_eq!(again.headers()["authorization"], "Bearer sk-…");
/// # Ok::<_, http::Error>(())
/// ```
pub struct KeptRequest {
    method: Method,
    version: Version,
    /// For each piece its lengths, name and value: scheme, authority and path of the URI without a
    /// name, then the headers.
    text: Vec<u8>,
    headers: usize,
    extensions: Extensions,
    body: Payload,
}

/// Bytes of most pieces, their lengths included; a guess that saves measuring them first.
const USUAL: usize = 64;
const SENSITIVE: u32 = 1 << 31;

impl KeptRequest {
    /// `None`: the request can be sent only once, or has a header of 2 GiB and more.
    #[must_use]
    pub fn keep(request: &Request<Payload>) -> Option<Self> {
        Self::keep_seeing(request, |_, _| {})
    }

    /// The same, and shows each header on the way: looking one up in the map costs as much as
    /// keeping three of them.
    pub fn keep_seeing(
        request: &Request<Payload>,
        mut see: impl FnMut(&str, &HeaderValue),
    ) -> Option<Self> {
        let (uri, headers) = (request.uri(), request.headers());
        let mut text = Vec::with_capacity((headers.len() + 3) * USUAL);
        for part in [
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |authority| authority.as_str()),
            uri.path_and_query().map_or("", |path| path.as_str()),
        ] {
            push(&mut text, b"", part.as_bytes(), false)?;
        }
        for (name, value) in headers {
            let name = name.as_str();
            see(name, value);
            let sensitive = value.is_sensitive();
            push(&mut text, name.as_bytes(), value.as_bytes(), sensitive)?;
        }
        Some(Self {
            method: request.method().clone(),
            version: request.version(),
            text,
            headers: headers.len(),
            extensions: request.extensions().clone(),
            body: request.body().try_clone()?,
        })
    }

    /// Host and port of the request's URI; empty if it has none.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        let mut rest = &self.text[..];
        let [_, authority] = [pop(&mut rest), pop(&mut rest)];
        authority.map_or(b"", |(_, authority, _)| authority)
    }

    /// The request again; this can be sent once more.
    ///
    /// `None` only if a part of it was made unchecked and is none.
    #[must_use]
    pub fn request(&self) -> Option<Request<Payload>> {
        let request = self.unpack(self.body.try_clone()?);
        request.map(|mut request| {
            *request.extensions_mut() = self.extensions.clone();
            request
        })
    }

    /// The request again, for the last time: nothing is copied but its head.
    #[must_use]
    pub fn into_request(mut self) -> Option<Request<Payload>> {
        let body = std::mem::replace(&mut self.body, Payload::new(String::new()));
        let mut request = self.unpack(body)?;
        *request.extensions_mut() = self.extensions;
        Some(request)
    }

    fn unpack(&self, body: Payload) -> Option<Request<Payload>> {
        let mut rest = &self.text[..];
        let mut uri = Uri::builder();
        let scheme = pop(&mut rest)?.1;
        if !scheme.is_empty() {
            uri = uri.scheme(scheme);
        }
        let authority = pop(&mut rest)?.1;
        if !authority.is_empty() {
            uri = uri.authority(authority);
        }
        let path = pop(&mut rest)?.1;
        if !path.is_empty() {
            uri = uri.path_and_query(path);
        }
        // one more for the number of the attempt
        let mut headers = HeaderMap::try_with_capacity(self.headers + 1).ok()?;
        while let Some((name, value, sensitive)) = pop(&mut rest) {
            let mut value = HeaderValue::from_bytes(value).ok()?;
            value.set_sensitive(sensitive);
            headers.append(HeaderName::from_bytes(name).ok()?, value);
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.build().ok()?;
        *request.version_mut() = self.version;
        *request.headers_mut() = headers;
        Some(request)
    }
}

#[inline]
fn push(text: &mut Vec<u8>, name: &[u8], value: &[u8], sensitive: bool) -> Option<()> {
    let length = u32::try_from(value.len())
        .ok()
        .filter(|length| *length < SENSITIVE)?;
    let mark = if sensitive { SENSITIVE } else { 0 };
    let lengths = (name.len() as u64) << 32 | u64::from(length | mark);
    text.extend_from_slice(&lengths.to_ne_bytes());
    text.extend_from_slice(name);
    text.extend_from_slice(value);
    Some(())
}

/// Name, value and whether it is sensitive.
fn pop<'t>(text: &mut &'t [u8]) -> Option<(&'t [u8], &'t [u8], bool)> {
    let (lengths, after) = text.split_first_chunk()?;
    let lengths = u64::from_ne_bytes(*lengths);
    let marked = lengths as u32;
    let (name, after) = after.split_at_checked((lengths >> 32) as usize)?;
    let (value, after) = after.split_at_checked((marked & !SENSITIVE) as usize)?;
    *text = after;
    Some((name, value, marked & SENSITIVE != 0))
}

/// Shows no address, header or body.
impl fmt::Debug for KeptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptRequest")
            .field("method", &self.method)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn again(uri: &str, headers: HeaderMap) -> (Request<Payload>, Request<Payload>) {
        let mut request = Request::new(Payload::new(String::new()));
        *request.uri_mut() = uri.parse().unwrap();
        *request.headers_mut() = headers;
        request.extensions_mut().insert(7_u8);
        let kept = KeptRequest::keep(&request).unwrap();
        let copy = kept.request().unwrap();
        let last = kept.into_request().unwrap();
        assert_eq!(copy.headers(), last.headers());
        assert_eq!(copy.uri(), last.uri());
        for copy in [&copy, &last] {
            assert_eq!(copy.extensions().get::<u8>(), Some(&7));
        }
        (request, copy)
    }

    #[test]
    fn every_form_of_uri_comes_out_as_it_went_in() {
        for uri in [
            "https://api.example.com/v1/chat/completions?api-version=1&x=%20",
            "http://127.0.0.1:9001/openai/v1/chat/completions",
            "http://[::1]:80/v1/messages",
            "HTTPS://h/v1/messages?",
            "/v1/chat/completions",
            "http://h",
            "*",
        ] {
            let (request, copy) = again(uri, HeaderMap::new());
            assert_eq!(request.uri(), copy.uri());
            assert_eq!(request.uri().to_string(), copy.uri().to_string());
            let authority = request.uri().authority().map_or("", |a| a.as_str());
            let kept = KeptRequest::keep(&request).unwrap();
            assert_eq!(kept.authority(), authority.as_bytes());
        }
    }

    #[test]
    fn a_stream_cannot_be_kept_and_nothing_of_a_request_is_shown() {
        let body = testkit::ScriptedBody::<testkit::BoxError>::new().data("x");
        assert!(KeptRequest::keep(&Request::new(Payload::new(body))).is_none());
        let mut request = Request::new(Payload::new(String::new()));
        *request.uri_mut() = "http://h/?canary".parse().unwrap();
        let canary = HeaderValue::from_static("canary");
        request.headers_mut().insert("authorization", canary);
        let kept = KeptRequest::keep(&request);
        assert!(!format!("{kept:?}").contains("canary"));
    }

    proptest! {
        #[test]
        fn headers_come_out_as_they_went_in_and_each_is_shown(
            list in prop::collection::vec(
                ("[a-z][a-z0-9-]{0,20}", prop::collection::vec(32u8..127, 0..40), any::<bool>()),
                0..30,
            ),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value, sensitive) in list {
                let mut value = HeaderValue::from_bytes(&value).unwrap();
                value.set_sensitive(sensitive);
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
            let (request, copy) = again("/", headers);
            prop_assert_eq!(copy.headers(), request.headers());
            for name in copy.headers().keys() {
                let sensitive = |request: &Request<Payload>| {
                    let values = request.headers().get_all(name);
                    values.iter().map(HeaderValue::is_sensitive).collect::<Vec<_>>()
                };
                prop_assert_eq!(sensitive(&copy), sensitive(&request));
            }
            let mut shown = HeaderMap::new();
            KeptRequest::keep_seeing(&request, |name, value| {
                shown.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.clone());
            });
            prop_assert_eq!(&shown, request.headers());
        }
    }
}
