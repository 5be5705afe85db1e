//! The HTTP-shaped call that is measured: 12 headers, a body of 2 KiB, facts already read.

use std::future::{Ready, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use llm_exchange::Payload;
pub use testkit::shaped::{AtOnce, call as full};
use tower::Service;

/// Answers at once.
pub const PROVIDER: AtOnce = AtOnce(200);

/// A call whose facts are read already.
pub fn payload() -> Request<Payload> {
    Payload::read(full(), Payload::DEFAULT_MAX_BYTES)
        .now_or_never()
        .unwrap()
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
