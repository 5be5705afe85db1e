use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{AnswerBody, BoxError, Payload};
use tower_service::Service;

use crate::{TranslateFuture, layer::Settings};

/// The service of a [`TranslateLayer`](crate::TranslateLayer).
///
/// Ready when the inner service is. The instance that was polled ready sends the call, once the
/// request's body was read.
#[derive(Clone, Debug)]
pub struct Translate<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Translate<S> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, B, R> Service<Request<B>> for Translate<S>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody<R>>;
    type Error = S::Error;
    type Future = TranslateFuture<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // the instance that is ready goes into the future; its clone has to become ready itself
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let read = Payload::read(request, self.settings.max_payload_bytes);
        TranslateFuture::new(read, ready, Arc::clone(&self.settings))
    }
}
