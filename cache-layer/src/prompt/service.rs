use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{AnswerBody, BoxError, Payload, Watch};
use tower_service::Service;

use super::{PromptCacheFuture, Tally, layer::Shared};

/// The service of a [`PromptCacheLayer`](crate::PromptCacheLayer).
///
/// Ready when the inner service is; the instance that was polled ready is the one called.
#[derive(Clone)]
pub struct PromptCache<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// The body of an answer that came through the layer.
pub type PromptCacheBody<R> = Watch<AnswerBody<R>, Tally>;

impl<S> PromptCache<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, R> Service<Request<B>> for PromptCache<S>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<PromptCacheBody<R>>;
    type Error = S::Error;
    type Future = PromptCacheFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // the instance that is ready goes into the future; its clone has to become ready itself
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let read = Payload::read(request, self.shared.max_payload_bytes);
        PromptCacheFuture::new(read, ready, Arc::clone(&self.shared))
    }
}

impl<S: fmt::Debug> fmt::Debug for PromptCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptCache")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
