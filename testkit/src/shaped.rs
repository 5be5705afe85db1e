//! The HTTP-shaped call that benches measure layers with: 12 headers and a body of 2 KiB, answered at
//! once by a small JSON.

use std::{
    convert::Infallible,
    future::{Future, Ready, poll_fn, ready},
    pin::{Pin, pin},
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

/// What hyper-util's client leaves in the extensions of every answer (its `HttpInfo`).
#[derive(Clone)]
#[allow(dead_code, reason = "carried, not read")]
struct Peer(std::net::SocketAddr);

/// A provider that answers at once, with this status.
#[derive(Clone, Debug)]
pub struct AtOnce(pub u16);

impl<B> Service<Request<B>> for AtOnce {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let body =
            Bytes::from_static(br#"{"id":"chatcmpl-1","object":"chat.completion","choices":[]}"#);
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = http::StatusCode::from_u16(self.0).expect("a status");
        let headers = response.headers_mut();
        headers.reserve(6);
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("content-length", HeaderValue::from_static("59"));
        headers.insert(
            "date",
            HeaderValue::from_static("Mon, 23 Nov 2026 10:00:00 GMT"),
        );
        headers.insert("x-request-id", HeaderValue::from_static("req_1"));
        headers.insert("server", HeaderValue::from_static("fake"));
        response
            .extensions_mut()
            .insert(Peer(([127, 0, 0, 1], 443).into()));
        ready(Ok(response))
    }
}

/// The call: cloned from one template, so that its header values and body are shared slices as they are
/// when hyper has read them.
pub fn call() -> Request<Full<Bytes>> {
    static TEMPLATE: LazyLock<Request<Full<Bytes>>> = LazyLock::new(template);
    TEMPLATE.clone()
}

/// Another template, for threads that are not to share one.
pub fn template() -> Request<Full<Bytes>> {
    let prompt = "x".repeat(2048 - 84);
    let body = format!(
        r#"{{"model":"gpt-6-sol","messages":[{{"role":"user","content":"{prompt}"}}],"stream":false}}"#
    );
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static("https://api.example.com/v1/chat/completions");
    *request.headers_mut() = headers();
    request
}

/// The 12 headers of an official SDK's call.
pub fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "api.example.com"),
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("user-agent", "OpenAI/Python 3.54.0"),
        ("authorization", "Bearer sk-0123456789abcdef"),
        ("x-stainless-lang", "python"),
        ("x-stainless-package-version", "3.54.0"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-arch", "x64"),
        ("x-stainless-runtime", "CPython"),
        ("x-stainless-retry-count", "0"),
        ("content-length", "2048"),
    ] {
        let value = HeaderValue::from_bytes(value.as_bytes());
        headers.insert(name, value.expect("a header value"));
    }
    headers
}

/// Ready and call, to the end of the answer's body.
///
/// # Panics
/// If the service has to wait for anything.
pub fn drive<S, R, B>(service: &mut S, request: R)
where
    S: Service<R, Response = Response<B>>,
    B: Body + Unpin,
{
    let call = async {
        poll_fn(|cx| service.poll_ready(cx)).await?;
        let mut body = service.call(request).await?.into_body();
        while !body.is_end_stream()
            && let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            std::hint::black_box(frame.is_ok());
        }
        Ok::<_, S::Error>(())
    };
    let mut call = pin!(call);
    let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the provider answers at once");
    };
    let _ = std::hint::black_box(answer);
}
