use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Classify, Payload};
use tower_service::Service;

use crate::{FallbackBody, FallbackFuture, GoesOn, OnFallback, Own, layer::Settings};

/// The service of a [`FallbackLayer`](crate::FallbackLayer).
///
/// Always ready, as a call may be served without the inner service, or by a target that is ready
/// while another is not: the future of each call drives a clone of the inner service, and of each
/// target's own, to readiness.
pub struct Fallback<S, O, C, H, F = ()> {
    inner: S,
    settings: Arc<Settings<O>>,
    classify: C,
    hook: H,
    failover: F,
}

impl<S, O, C, H, F> Fallback<S, O, C, H, F> {
    pub(crate) const fn new(
        inner: S,
        settings: Arc<Settings<O>>,
        classify: C,
        hook: H,
        failover: F,
    ) -> Self {
        Self {
            inner,
            settings,
            classify,
            hook,
            failover,
        }
    }
}

impl<S: Clone, O, C: Clone, H: Clone, F: Copy> Clone for Fallback<S, O, C, H, F> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: Arc::clone(&self.settings),
            classify: self.classify.clone(),
            hook: self.hook.clone(),
            failover: self.failover,
        }
    }
}

impl<S, B, R, O, C, H, F> Service<Request<B>> for Fallback<S, O, C, H, F>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
    C: Classify<S::Error> + Clone,
    H: OnFallback + Clone,
    F: GoesOn<S, R, O, C, H>,
{
    type Response = Response<FallbackBody<R>>;
    type Error = S::Error;
    type Future = FallbackFuture<S, R, O, C, H, F>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        FallbackFuture::new(
            Payload::read(request, self.settings.max_payload_bytes),
            self.inner.clone(),
            Arc::clone(&self.settings),
            self.classify.clone(),
            self.hook.clone(),
            self.failover,
        )
    }
}

impl<S: fmt::Debug, O, C, H, F> fmt::Debug for Fallback<S, O, C, H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
