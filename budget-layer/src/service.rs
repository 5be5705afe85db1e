use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Payload, UsageHidden, Watch};
use tower_service::Service;

use crate::{
    BudgetFuture,
    body::Held,
    budget::Budget,
    open::Settle,
    store::{MemoryStore, Store},
};

/// The service of a [`BudgetLayer`](crate::BudgetLayer).
///
/// Ready when the inner service is. The instance that was polled ready sends the call, once its body was
/// read and its reservation made.
pub struct Budgeted<I, S: Store = MemoryStore> {
    inner: I,
    budget: Arc<Budget<S>>,
}

/// The body of an answer that came through the layer.
pub type BudgetBody<R, S = MemoryStore> = Watch<UsageHidden<Held<R, S>>, Settle<S>>;

impl<I, S: Store> Budgeted<I, S> {
    pub(crate) const fn new(inner: I, budget: Arc<Budget<S>>) -> Self {
        Self { inner, budget }
    }
}

impl<I: Clone, S: Store> Clone for Budgeted<I, S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.budget))
    }
}

impl<I, S, B, R> Service<Request<B>> for Budgeted<I, S>
where
    I: Service<Request<Payload>, Response = Response<R>> + Clone,
    I::Error: 'static,
    S: Store,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<BudgetBody<R, S>>;
    type Error = I::Error;
    type Future = BudgetFuture<I, R, S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> BudgetFuture<I, R, S> {
        // the instance that is ready goes into the future; its clone has to become ready itself
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let read = Payload::read(request, self.budget.settings.max_payload_bytes);
        BudgetFuture::new(read, ready, Arc::clone(&self.budget))
    }
}

impl<I: fmt::Debug, S: Store> fmt::Debug for Budgeted<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgeted")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
