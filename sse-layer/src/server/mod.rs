//! For servers: a [`Stream`](futures_core::Stream) as a response's body.

mod events;
mod lines;

use http::{HeaderName, HeaderValue, Response, header};

pub use self::{events::EventBody, lines::LineBody};

/// The answer with such a body: its content type, and what keeps proxies from holding it up.
fn response<B>(body: B, content_type: &'static str) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}
