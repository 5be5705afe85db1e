use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, Meter, Payload, ReadPayload, Watch, ask_for_plain_text,
};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{PromptCacheBody, Tally, layer::Shared};

pin_project! {
    /// The future of [`PromptCache`](crate::PromptCache).
    #[must_use = "futures do nothing unless polled"]
    pub struct PromptCacheFuture<S>
    where
        S: Service<Request<Payload>>,
    {
        #[pin]
        state: State<S::Future>,
        service: S,
        shared: Arc<Shared>,
        // of an LLM call
        call: Option<Known>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        // the caller's body
        Reading { read: Box<ReadPayload> },
        // the inner response
        Calling { #[pin] sent: F },
    }
}

impl<S: Service<Request<Payload>>> PromptCacheFuture<S> {
    pub(super) fn new(read: ReadPayload, service: S, shared: Arc<Shared>) -> Self {
        Self {
            state: State::Reading {
                read: Box::new(read),
            },
            service,
            shared,
            call: None,
        }
    }
}

/// What is known of a call that is made.
struct Known {
    call: Arc<Call>,
    /// Its stable prefix, if one was marked.
    prefix: Option<u64>,
    /// Where it goes, if that is to be priced.
    host: Option<Box<str>>,
}

/// Marks a request, and what is known of the call that it makes.
fn prepare(shared: &Shared, request: &mut Request<Payload>) -> Option<Known> {
    let call = Call::of(request)?.clone();
    ask_for_plain_text(request.headers_mut());
    let prefix = shared.prepare(request, &call);
    shared.report.call(prefix.is_some());
    let call = Call::of(request).unwrap_or(&call).clone();
    let host = request
        .uri()
        .authority()
        .filter(|_| shared.prices.is_some());
    let host = host.and_then(|authority| authority.as_str().rsplit('@').next());
    Some(Known {
        call,
        prefix,
        host: host.map(Into::into),
    })
}

impl<S, R> Future for PromptCacheFuture<S>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<PromptCacheBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Reading { read } => {
                    let mut request = ready!(Pin::new(read).poll(cx));
                    *this.call = prepare(this.shared, &mut request);
                    let sent = this.service.call(request);
                    this.state.set(State::Calling { sent });
                }
                StateProj::Calling { sent } => {
                    let response = ready!(sent.poll(cx));
                    let (call, shared) = (this.call.take(), &*this.shared);
                    return Poll::Ready(response.map(|response| watched(response, call, shared)));
                }
            }
        }
    }
}

fn watched<R>(
    response: Response<R>,
    call: Option<Known>,
    shared: &Shared,
) -> Response<PromptCacheBody<R>>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let Some(Known { call, prefix, host }) = call else {
        return response.map(|body| Watch::new(AnswerBody::inner(body), None));
    };
    let (meter, response) = Meter::attach(response, &call);
    let tally = Tally {
        meter,
        prefix,
        host,
        report: Arc::clone(&shared.report),
        prices: shared.prices.clone(),
    };
    response.map(|body| Watch::new(body, tally))
}

impl<S: Service<Request<Payload>>> fmt::Debug for PromptCacheFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptCacheFuture").finish_non_exhaustive()
    }
}
