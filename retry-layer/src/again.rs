//! The request as it is sent again.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use llm_exchange::Payload;

/// On the request, from the second attempt on: its number.
pub(crate) const ATTEMPT: HeaderName = HeaderName::from_static("x-llm-attempt");

/// What is kept of a request to send it again.
///
/// The headers are kept as a list: that is one allocation where a clone of the map is two, and the
/// map is built anew only if the call really is sent again.
pub(crate) struct Again {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Vec<(HeaderName, HeaderValue)>,
    extensions: Extensions,
    body: Payload,
}

impl Again {
    /// `None`: the body can be sent only once.
    pub(crate) fn keep(request: &Request<Payload>) -> Option<Self> {
        let body = request.body().try_clone()?;
        let map = request.headers();
        let mut headers = Vec::with_capacity(map.len());
        headers.extend(
            map.iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Some(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers,
            extensions: request.extensions().clone(),
            body,
        })
    }

    /// The request of a further attempt, for sending.
    pub(crate) fn request(&self, attempt: u32) -> Option<Request<Payload>> {
        let body = self.body.try_clone()?;
        Some(self.build(attempt, self.extensions.clone(), body))
    }

    /// The request of the last attempt: nothing is kept and nothing copied.
    pub(crate) fn into_request(mut self, attempt: u32) -> Request<Payload> {
        let extensions = std::mem::take(&mut self.extensions);
        let body = std::mem::replace(&mut self.body, Payload::new(String::new()));
        self.build(attempt, extensions, body)
    }

    fn build(&self, attempt: u32, extensions: Extensions, body: Payload) -> Request<Payload> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.extensions_mut() = extensions;
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 1);
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        headers.insert(ATTEMPT, attempt.into());
        *request.headers_mut() = headers;
        request
    }
}

/// Asks for an answer that can be read. A caller who named no encoding is left as it is: providers
/// compress only where they are told that they may.
pub(crate) fn ask_for_plain_text(headers: &mut HeaderMap) {
    if let Some(value) = headers.get_mut(header::ACCEPT_ENCODING) {
        *value = HeaderValue::from_static("identity");
    }
}
