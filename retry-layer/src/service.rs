use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{AnswerBody, BoxError, Classify, Payload, Watch};
use tower_service::Service;

use crate::{OnRetry, RetryFuture, layer::Settings, stats::Settle};

/// The service of a [`RetryLayer`](crate::RetryLayer).
///
/// Ready when the inner service is. The instance that was polled ready sends the first attempt, once
/// the request's body was read, and is polled ready anew before each further one.
#[derive(Clone)]
pub struct Retry<S, C, H> {
    inner: S,
    settings: Arc<Settings>,
    classify: C,
    hook: H,
}

/// The body of an answer that came through the layer.
pub type RetryBody<R> = Watch<AnswerBody<R>, Settle>;

impl<S, C, H> Retry<S, C, H> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings>, classify: C, hook: H) -> Self {
        Self {
            inner,
            settings,
            classify,
            hook,
        }
    }
}

impl<S, B, R, C, H> Service<Request<B>> for Retry<S, C, H>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    C: Classify<S::Error> + Clone,
    H: OnRetry + Clone,
{
    type Response = Response<RetryBody<R>>;
    type Error = S::Error;
    type Future = RetryFuture<S, R, C, H>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // the instance that is ready goes into the future; its clone has to become ready itself
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        RetryFuture::new(
            Payload::read(request, self.settings.max_payload_bytes),
            ready,
            Arc::clone(&self.settings),
            self.classify.clone(),
            self.hook.clone(),
        )
    }
}

impl<S: fmt::Debug, C, H> fmt::Debug for Retry<S, C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
