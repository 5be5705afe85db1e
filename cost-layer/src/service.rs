use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{AnswerBody, BoxError, Payload, UsageHidden, Watch};
use tower_service::Service;

use crate::{CostFuture, books::Books, settle::Settle};

/// The service of a [`CostLayer`](crate::CostLayer).
///
/// Ready when the inner service is. The instance that was polled ready sends the call, once its body was
/// read.
#[derive(Clone)]
pub struct Cost<S> {
    inner: S,
    books: Arc<Books>,
}

/// The body of an answer that came through the layer.
pub type CostBody<R> = Watch<UsageHidden<AnswerBody<R>>, Settle>;

impl<S> Cost<S> {
    pub(crate) const fn new(inner: S, books: Arc<Books>) -> Self {
        Self { inner, books }
    }
}

impl<S, B, R> Service<Request<B>> for Cost<S>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    S::Error: 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<CostBody<R>>;
    type Error = S::Error;
    type Future = CostFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> CostFuture<S> {
        // the instance that is ready goes into the future; its clone has to become ready itself
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let read = Payload::read(request, self.books.max_payload_bytes);
        CostFuture::new(read, ready, Arc::clone(&self.books))
    }
}

impl<S: fmt::Debug> fmt::Debug for Cost<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cost")
            .field("inner", &self.inner)
            .field("books", &self.books)
            .finish()
    }
}
