use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Payload};
use tower_service::Service;

use super::{Abandon, SseBody, SseFuture, Upstream, layer::Settings};

/// The service of an [`SseLayer`](crate::SseLayer).
///
/// Ready when the inner service is. The instance that was polled ready sends the call, once the
/// request's body was read.
#[derive(Clone)]
pub struct Sse<S, D = ()> {
    inner: S,
    settings: Arc<Settings>,
    abandon: D,
}

impl<S, D> Sse<S, D> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings>, abandon: D) -> Self {
        Self {
            inner,
            settings,
            abandon,
        }
    }
}

impl<S, B, R, D> Service<Request<B>> for Sse<S, D>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    D: Abandon<Upstream<R>> + Clone,
{
    type Response = Response<SseBody<S::Future, R, D>>;
    type Error = S::Error;
    type Future = SseFuture<S, R, D>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // the instance that is ready goes into the future; its clone has to become ready itself
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        SseFuture::new(
            Payload::read(request, self.settings.max_payload_bytes),
            ready,
            Arc::clone(&self.settings),
            self.abandon.clone(),
        )
    }
}

impl<S: fmt::Debug, D> fmt::Debug for Sse<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
