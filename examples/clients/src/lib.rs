//! Adaptors: a `reqwest::Client` and a tonic channel as tower services over plain `http` requests, and
//! a stack of layers as the HTTP service of an SDK.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use http::{Request, Response};
use llm_exchange::{BoxError, Payload};
use tower::ServiceExt;
use tower_service::Service;

/// A `reqwest::Client` that takes `http` requests and answers `http` responses.
///
/// reqwest itself is a `Service` over its own types only.
#[derive(Clone, Debug, Default)]
pub struct ReqwestService(pub reqwest::Client);

impl Service<Request<Payload>> for ReqwestService {
    type Response = Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<reqwest::Request>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap));
        let sent = request.map(|request| self.0.call(request));
        Box::pin(async move { Ok(sent?.await?.into()) })
    }
}

/// A tonic channel that takes the layers' requests.
///
/// A channel takes tonic's own body type; any other body becomes one.
#[derive(Clone, Debug)]
pub struct ChannelService(pub tonic::transport::Channel);

impl Service<Request<Payload>> for ChannelService {
    type Response = Response<tonic::body::Body>;
    type Error = tonic::transport::Error;
    type Future = tonic::transport::channel::ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        self.0.call(request.map(tonic::body::Body::new))
    }
}

/// A stack as the HTTP service of the `async-openai` SDK, in place of the SDK's own retries:
/// `Client::with_config(…).with_http_service(OpenAiService(stack))`.
///
/// The SDK takes reqwest's requests and answers; the stack may end in any client.
#[derive(Clone, Debug)]
pub struct OpenAiService<S>(pub S);

impl<S, R> Service<HttpRequestFactory> for OpenAiService<S>
where
    S: Service<Request<reqwest::Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes, Error = BoxError> + Send + Sync + 'static,
{
    type Response = reqwest::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // the stack is made ready when the request is there
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let stack = self.0.clone();
        Box::pin(async move {
            let request = factory.build().await?.try_into()?;
            let response = stack.oneshot(request).await.map_err(Into::into)?;
            Ok(response.map(reqwest::Body::wrap).into())
        })
    }
}
