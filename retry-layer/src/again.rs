//! The request as it is sent again.

use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use llm_exchange::Payload;

use crate::deadline;

/// On the request, from the second attempt on: its number.
const ATTEMPT: HeaderName = HeaderName::from_static("x-llm-attempt");

/// What is kept of a request to send it again.
pub(crate) struct Again {
    method: Method,
    version: Version,
    head: PackedHead,
    extensions: Extensions,
    body: Payload,
}

impl Again {
    /// `None`: the request can be sent only once.
    pub(crate) fn keep(request: &Request<Payload>) -> Option<Self> {
        Some(Self {
            method: request.method().clone(),
            version: request.version(),
            head: PackedHead::pack(request.uri(), request.headers())?,
            extensions: request.extensions().clone(),
            body: request.body().try_clone()?,
        })
    }

    /// Whether the caller named encodings. They are not kept: as `ask_for_plain_text` does with the
    /// request that is sent first, the kept one names none but `identity`.
    pub(crate) const fn names_encoding(&self) -> bool {
        self.head.names_encoding
    }

    /// The caller's own time limit.
    pub(crate) const fn grpc_timeout(&self) -> Option<Duration> {
        self.head.grpc_timeout
    }

    /// The request of a further attempt; this can be sent again.
    pub(crate) fn request(&self, attempt: u32) -> Option<Request<Payload>> {
        let (extensions, body) = (self.extensions.clone(), self.body.try_clone()?);
        self.head
            .unpack(&self.method, self.version, extensions, body, attempt)
    }

    /// The request of the last attempt: nothing is copied but its head.
    pub(crate) fn into_request(self, attempt: u32) -> Option<Request<Payload>> {
        self.head.unpack(
            &self.method,
            self.version,
            self.extensions,
            self.body,
            attempt,
        )
    }
}

/// URI and headers as one run of bytes.
///
/// Most calls are sent once, and cloning the header map for the rest is what other retry layers
/// spend most of their time on: two reference counts for each header, up and down again. One copy
/// of the text costs less than half of that; only a call that is sent again pays for the parsing.
struct PackedHead {
    /// For each piece its lengths, name and value: scheme, authority and path of the URI without a
    /// name, then the headers.
    text: Vec<u8>,
    headers: usize,
    // seen on the way; looking each up in the map would cost as much as three headers
    names_encoding: bool,
    grpc_timeout: Option<Duration>,
}

/// Bytes of most pieces, their lengths included; a guess that saves measuring them first.
const USUAL: usize = 64;
const SENSITIVE: u32 = 1 << 31;

impl PackedHead {
    /// `None`: a value of 2 GiB and more.
    fn pack(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let mut text = Vec::with_capacity((headers.len() + 3) * USUAL);
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        for part in [
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |authority| authority.as_str()),
            path,
        ] {
            push(&mut text, b"", part.as_bytes(), false)?;
        }
        let (mut names_encoding, mut grpc_timeout) = (false, None);
        for (name, value) in headers {
            match name.as_str() {
                "accept-encoding" => {
                    names_encoding = true;
                    continue;
                }
                "grpc-timeout" => {
                    grpc_timeout = grpc_timeout.or_else(|| deadline::grpc_timeout(value))
                }
                _ => {}
            }
            push(
                &mut text,
                name.as_str().as_bytes(),
                value.as_bytes(),
                value.is_sensitive(),
            )?;
        }
        Some(Self {
            text,
            headers: headers.len(),
            names_encoding,
            grpc_timeout,
        })
    }

    /// `None` only if a part was made unchecked and is none.
    fn unpack(
        &self,
        method: &Method,
        version: Version,
        extensions: Extensions,
        body: Payload,
        attempt: u32,
    ) -> Option<Request<Payload>> {
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
        let mut headers = HeaderMap::try_with_capacity(self.headers + 1).ok()?;
        while let Some((name, value, sensitive)) = pop(&mut rest) {
            let mut value = HeaderValue::from_bytes(value).ok()?;
            value.set_sensitive(sensitive);
            headers.append(HeaderName::from_bytes(name).ok()?, value);
        }
        if self.names_encoding {
            let identity = HeaderValue::from_static("identity");
            headers.insert(header::ACCEPT_ENCODING, identity);
        }
        headers.insert(ATTEMPT, attempt.into());

        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.build().ok()?;
        *request.version_mut() = version;
        *request.headers_mut() = headers;
        *request.extensions_mut() = extensions;
        Some(request)
    }
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn again(uri: &str, headers: HeaderMap) -> (Request<Payload>, Request<Payload>) {
        let mut request = Request::new(Payload::new(String::new()));
        *request.uri_mut() = uri.parse().unwrap();
        *request.headers_mut() = headers;
        let kept = Again::keep(&request).unwrap();
        let copy = kept.request(2).unwrap();
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
        }
    }

    proptest! {
        #[test]
        fn headers_come_out_as_they_went_in(
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
            let (request, mut copy) = again("/", headers);
            prop_assert_eq!(copy.headers_mut().remove(ATTEMPT).unwrap(), "2");
            prop_assert_eq!(copy.headers(), request.headers());
            for name in copy.headers().keys() {
                let sensitive = |request: &Request<Payload>| {
                    let values = request.headers().get_all(name);
                    values.iter().map(HeaderValue::is_sensitive).collect::<Vec<_>>()
                };
                prop_assert_eq!(sensitive(&copy), sensitive(&request));
            }
        }
    }
}
