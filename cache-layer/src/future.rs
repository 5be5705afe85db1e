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
use llm_exchange::{AnswerBody, BoxError, Payload, ReadPayload};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    CacheBody, CacheStatus, Cached, Store,
    alike::Looked,
    ask::{Ask, Step},
    flight::{Flight, Seat},
    settings::Settings,
};

pin_project! {
    /// The future of [`Cache`](crate::Cache).
    #[must_use = "futures do nothing unless polled"]
    pub struct CacheFuture<S, R, St>
    where
        S: Service<Request<Payload>>,
        St: Store,
    {
        #[pin]
        state: State<S, R, St>,
        // of which each call that is made gets a clone or itself; polled ready when it is needed
        service: S,
        settings: Arc<Settings<St>>,
    }
}

type Answered<S, R> = Result<Response<CacheBody<R>>, <S as Service<Request<Payload>>>::Error>;

pin_project! {
    #[project = StateProj]
    pub(crate) enum State<S, R, St>
    where
        S: Service<Request<Payload>>,
        St: Store,
    {
        // the caller's body
        Reading { read: ReadPayload },
        // the request is there
        Read { request: Option<Request<Payload>> },
        // the store
        Looking { get: St::Get, ask: Option<Box<Ask<St>>> },
        // the meaning of the question
        Comparing { looked: Pin<Box<dyn Future<Output = Looked> + Send>>, ask: Option<Box<Ask<St>>> },
        // a call for embeddings, text by text
        Texts { asked: Pin<Box<dyn Future<Output = Answered<S, R>> + Send>> },
        // the head of an upstream call, begun by this one or another
        Flying { flight: Arc<Flight<S, R>>, seat: Option<Seat>, ask: Option<Box<Ask<St>>> },
        // the service, for what is not cached
        Readying { request: Option<Request<Payload>>, is_call: bool },
        Passing { #[pin] sent: S::Future, is_call: bool },
        Done,
    }
}

impl<S, R, St> CacheFuture<S, R, St>
where
    S: Service<Request<Payload>>,
    St: Store,
{
    pub(crate) fn new(read: ReadPayload, service: S, settings: Arc<Settings<St>>) -> Self {
        Self {
            state: match read.now() {
                Ok(request) => State::Read {
                    request: Some(request),
                },
                Err(read) => State::Reading { read },
            },
            service,
            settings,
        }
    }
}

impl<S, R, St> Future for CacheFuture<S, R, St>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
    St: Store,
{
    type Output = Result<Response<CacheBody<R>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (settings, service) = (&*this.settings, &mut *this.service);
        loop {
            let step = match this.state.as_mut().project() {
                StateProj::Reading { read } => {
                    let request = ready!(Pin::new(read).poll(cx));
                    Step::begin(settings, service, request, cx)
                }
                StateProj::Read { request } => Step::begin(settings, service, take(request), cx),
                StateProj::Looking { get, ask } => {
                    let found = ready!(Pin::new(get).poll(cx));
                    Step::found(settings, service, *take(ask), found)
                }
                StateProj::Comparing { looked, ask } => {
                    let looked = ready!(looked.as_mut().poll(cx));
                    Step::compared(settings, service, *take(ask), looked)
                }
                StateProj::Texts { asked } => {
                    let answer = ready!(asked.as_mut().poll(cx));
                    this.state.set(State::Done);
                    return Poll::Ready(answer);
                }
                StateProj::Flying { flight, seat, ask } => {
                    let (number, leads) = seat.as_ref().map_or((0, false), Seat::place);
                    let outcome = ready!(flight.poll_head(number, leads, cx));
                    let (flight, seat, ask) = (Arc::clone(flight), take(seat), *take(ask));
                    match Step::landed(settings, service, &flight, seat, ask, outcome) {
                        Ok(step) => step,
                        Err(error) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                StateProj::Readying { request, is_call } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error));
                    }
                    let (request, is_call) = (take(request), *is_call);
                    Step::Go(State::Passing {
                        sent: service.call(request),
                        is_call,
                    })
                }
                StateProj::Passing { sent, is_call } => {
                    let response = ready!(sent.poll(cx));
                    let is_call = *is_call;
                    this.state.set(State::Done);
                    return Poll::Ready(response.map(|response| {
                        let mut response =
                            response.map(|body| CacheBody::passed(AnswerBody::inner(body)));
                        if is_call {
                            Cached::new(CacheStatus::Bypass, None).mark(&mut response);
                        }
                        response
                    }));
                }
                StateProj::Done => panic!("a future is not polled after it was ready"),
            };
            match step {
                Step::Go(state) => this.state.set(state),
                Step::Answer(response) => {
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

/// What a state holds until it is left.
pub(crate) fn take<T>(held: &mut Option<T>) -> T {
    held.take().expect("a state is left once")
}

impl<S, R, St> fmt::Debug for CacheFuture<S, R, St>
where
    S: Service<Request<Payload>>,
    St: Store,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheFuture").finish_non_exhaustive()
    }
}
