use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{AnswerBody, BoxError, Classify, Payload, Watch};
use tower_service::Service;

use crate::{BreakerFuture, Settle, shared::Shared};

/// The service of a [`BreakerLayer`](crate::BreakerLayer).
///
/// Ready when the inner service is, and the instance that was polled ready makes the call. A refused
/// call leaves that readiness unused. An error of readiness is passed on and counts for no circuit: no
/// call was there to have a key.
#[derive(Clone)]
pub struct Breaker<S, C> {
    inner: S,
    shared: Arc<Shared>,
    classify: C,
}

/// The body of an answer that came through the layer.
pub type BreakerBody<R, C> = Watch<AnswerBody<R>, Settle<C>>;

impl<S, C> Breaker<S, C> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>, classify: C) -> Self {
        Self {
            inner,
            shared,
            classify,
        }
    }
}

impl<S, B, R, C> Service<Request<B>> for Breaker<S, C>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    C: Classify<S::Error> + Clone,
{
    type Response = Response<BreakerBody<R, C>>;
    type Error = S::Error;
    type Future = BreakerFuture<S, R, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, shared) = (&mut self.inner, &self.shared);
        let classify = self.classify.clone();
        let mut request = Some(request);
        if let Some(request) = Payload::already_read(&mut request) {
            return BreakerFuture::new(request, inner, shared, classify);
        }
        let request = request.expect("what is not read was not taken");
        let most = shared.core.settings.max_payload_bytes;
        BreakerFuture::reading(Payload::read(request, most), inner, shared, classify)
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Breaker<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("inner", &self.inner)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
