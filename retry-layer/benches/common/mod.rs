//! The HTTP-shaped call that is measured: 12 headers, a body of 2 KiB, facts already read.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::LazyLock,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use llm_exchange::Payload;
use tower::Service;

/// What hyper-util's client leaves in the extensions of every answer (its `HttpInfo`).
#[derive(Clone)]
#[allow(dead_code, reason = "carried, not read")]
struct Peer(std::net::SocketAddr);

/// Answers at once.
#[derive(Clone)]
pub struct Provider;

impl<B> Service<Request<B>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let body = Bytes::from_static(br#"{"id":"chatcmpl-1","object":"chat.completion"}"#);
        let mut response = Response::new(Full::new(body));
        let headers = response.headers_mut();
        headers.reserve(6);
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("content-length", HeaderValue::from_static("46"));
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

/// The call as the peers take it: cloned from one template, so that its header values and body are
/// shared slices as they are when hyper has read them.
pub fn full() -> Request<Full<Bytes>> {
    static TEMPLATE: LazyLock<Request<Full<Bytes>>> = LazyLock::new(|| {
        let prompt = "x".repeat(2048 - 84);
        let body = format!(
            r#"{{"model":"gpt-6-sol","messages":[{{"role":"user","content":"{prompt}"}}],"stream":false}}"#
        );
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = "https://api.example.com/v1/chat/completions"
            .parse()
            .unwrap();
        *request.headers_mut() = headers();
        request
    });
    TEMPLATE.clone()
}

/// A call whose facts are read already.
pub fn payload() -> Request<Payload> {
    Payload::read(full(), Payload::DEFAULT_MAX_BYTES)
        .now_or_never()
        .unwrap()
}

fn headers() -> HeaderMap {
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
        headers.insert(name, value.parse().unwrap());
    }
    headers
}

/// Ready and call, to the end of the head.
pub fn drive<S, B>(service: &mut S, request: Request<B>)
where
    S: Service<Request<B>>,
    S::Error: std::fmt::Debug,
{
    let call = async {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    };
    let response = call.now_or_never().expect("the provider answers at once");
    drop(std::hint::black_box(
        response.expect("the provider does not fail"),
    ));
}

/// tower's retry with the policy that everybody writes: clone the request, look at the status.
#[derive(Clone)]
pub struct ClonePolicy(pub usize);

pub trait CloneRequest: Sized {
    fn copy(&self) -> Option<Self>;
}

impl CloneRequest for Request<Full<Bytes>> {
    fn copy(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl CloneRequest for Request<Payload> {
    fn copy(&self) -> Option<Self> {
        let mut copy = Request::new(self.body().try_clone()?);
        *copy.method_mut() = self.method().clone();
        *copy.uri_mut() = self.uri().clone();
        *copy.version_mut() = self.version();
        *copy.headers_mut() = self.headers().clone();
        *copy.extensions_mut() = self.extensions().clone();
        Some(copy)
    }
}

impl<R: CloneRequest, B, E> tower::retry::Policy<R, Response<B>, E> for ClonePolicy {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut R, result: &mut Result<Response<B>, E>) -> Option<Ready<()>> {
        let again = match result {
            Ok(response) => response.status().is_server_error(),
            Err(_) => true,
        };
        if !again || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &R) -> Option<R> {
        request.copy()
    }
}
