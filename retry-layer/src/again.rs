//! The request as it is sent again.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use llm_exchange::Payload;

/// On the request, from the second attempt on: its number.
const ATTEMPT: HeaderName = HeaderName::from_static("x-llm-attempt");

/// What is kept of a request to send it again.
pub(crate) struct Again {
    method: Method,
    uri: Uri,
    version: Version,
    headers: PackedHeaders,
    extensions: Extensions,
    body: Payload,
}

impl Again {
    /// `None`: the request can be sent only once.
    pub(crate) fn keep(request: &Request<Payload>) -> Option<Self> {
        Some(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: PackedHeaders::pack(request.headers())?,
            extensions: request.extensions().clone(),
            body: request.body().try_clone()?,
        })
    }

    /// The request of a further attempt; this can be sent again.
    pub(crate) fn request(&self, attempt: u32) -> Option<Request<Payload>> {
        let copy = Self {
            method: self.method.clone(),
            uri: self.uri.clone(),
            version: self.version,
            headers: PackedHeaders::default(),
            extensions: self.extensions.clone(),
            body: self.body.try_clone()?,
        };
        copy.build(self.headers.unpack()?, attempt)
    }

    /// The request of the last attempt: nothing is copied but the headers.
    pub(crate) fn into_request(self, attempt: u32) -> Option<Request<Payload>> {
        let headers = self.headers.unpack()?;
        self.build(headers, attempt)
    }

    fn build(self, mut headers: HeaderMap, attempt: u32) -> Option<Request<Payload>> {
        headers.insert(ATTEMPT, attempt.into());
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.extensions;
        Some(request)
    }
}

/// Headers as one run of bytes.
///
/// Most calls are sent once, and cloning the header map for the rest is what other retry layers
/// spend most of their time on: two reference counts for each header, up and down again. One copy
/// of the text costs less than half of that; only a call that is sent again pays for the parsing.
#[derive(Default)]
struct PackedHeaders {
    /// For each header the lengths, the name, the value.
    text: Vec<u8>,
    count: usize,
}

/// Bytes of most headers, their lengths included; a guess that saves measuring them first.
const USUAL: usize = 64;
const SENSITIVE: u32 = 1 << 31;

impl PackedHeaders {
    /// `None`: a value of 2 GiB and more.
    fn pack(headers: &HeaderMap) -> Option<Self> {
        let count = headers.len();
        let mut text = Vec::with_capacity(count * USUAL);
        for (name, value) in headers {
            let (name, text_of_value) = (name.as_str().as_bytes(), value.as_bytes());
            let value_length = u32::try_from(text_of_value.len()).ok()?;
            if value_length >= SENSITIVE {
                return None;
            }
            let mark = if value.is_sensitive() { SENSITIVE } else { 0 };
            let lengths = (name.len() as u64) << 32 | u64::from(value_length | mark);
            text.extend_from_slice(&lengths.to_ne_bytes());
            text.extend_from_slice(name);
            text.extend_from_slice(text_of_value);
        }
        Some(Self { text, count })
    }

    /// With room for one header more. `None` only if a value was made unchecked and is none.
    fn unpack(&self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(self.count + 1);
        let mut rest = &self.text[..];
        while let Some((lengths, after)) = rest.split_first_chunk() {
            let lengths = u64::from_ne_bytes(*lengths);
            let (name, after) = after.split_at_checked((lengths >> 32) as usize)?;
            let marked = lengths as u32;
            let (value, after) = after.split_at_checked((marked & !SENSITIVE) as usize)?;
            let mut value = HeaderValue::from_bytes(value).ok()?;
            value.set_sensitive(marked & SENSITIVE != 0);
            headers.append(HeaderName::from_bytes(name).ok()?, value);
            rest = after;
        }
        Some(headers)
    }
}

/// Asks for an answer that can be read. A caller who named no encoding is left as it is: providers
/// compress only where they are told that they may.
pub(crate) fn ask_for_plain_text(headers: &mut HeaderMap) {
    if let Some(value) = headers.get_mut(header::ACCEPT_ENCODING) {
        *value = HeaderValue::from_static("identity");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let unpacked = PackedHeaders::pack(&headers).unwrap().unpack().unwrap();
            prop_assert_eq!(&unpacked, &headers);
            for (name, value) in &unpacked {
                let sensitive = |map: &HeaderMap| {
                    map.get_all(name).iter().map(HeaderValue::is_sensitive).collect::<Vec<_>>()
                };
                prop_assert_eq!(sensitive(&unpacked), sensitive(&headers));
                let _ = value;
            }
        }
    }
}
