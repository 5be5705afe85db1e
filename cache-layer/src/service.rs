use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Payload};
use tower_service::Service;

use crate::{CacheBody, CacheFuture, MemoryStore, Store, settings::Settings};

/// The service of a [`CacheLayer`](crate::CacheLayer).
///
/// It is always ready, as it can answer without the inner service. A call that is made is made by a
/// clone of the inner service, which is polled ready within the call's future.
#[derive(Clone)]
pub struct Cache<S, St = MemoryStore> {
    inner: S,
    settings: Arc<Settings<St>>,
}

impl<S, St> Cache<S, St> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings<St>>) -> Self {
        Self { inner, settings }
    }
}

impl<S, B, R, St> Service<Request<B>> for Cache<S, St>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
    St: Store,
{
    type Response = Response<CacheBody<R>>;
    type Error = S::Error;
    type Future = CacheFuture<S, R, St>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        CacheFuture::new(
            Payload::read(request, self.settings.max_payload_bytes),
            self.inner.clone(),
            Arc::clone(&self.settings),
        )
    }
}

impl<S: fmt::Debug, St: fmt::Debug> fmt::Debug for Cache<S, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish()
    }
}
