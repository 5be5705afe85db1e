use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{AnswerBody, BoxError, Payload};
use tower_service::Service;

use super::{QuotaFuture, shared::Shared};

/// The service of a [`ProviderQuotaLayer`](super::ProviderQuotaLayer).
///
/// Ready when the inner service is, and the instance that was polled ready makes the call, after its
/// wait if it has to. A refused call leaves that readiness unused.
#[derive(Clone)]
pub struct ProviderQuota<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> ProviderQuota<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, R> Service<Request<B>> for ProviderQuota<S>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody<R>>;
    type Error = S::Error;
    type Future = QuotaFuture<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let read = Payload::read(request, self.shared.settings.max_payload_bytes);
        QuotaFuture::new(read, &mut self.inner, &self.shared)
    }
}

impl<S: fmt::Debug> fmt::Debug for ProviderQuota<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderQuota")
            .field("inner", &self.inner)
            .field("shared", &self.shared)
            .finish()
    }
}
