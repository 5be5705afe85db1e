//! Adaptors: a `reqwest::Client` and a tonic channel as tower services over plain `http` requests.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use llm_exchange::Payload;
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
