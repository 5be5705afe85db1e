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
    AnswerBody, BoxError, Call, Classify, Meter, Payload, ReadPayload, Refusal, Standard,
    UsageHidden, Verdict, Watch, ask_for_plain_text,
};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use crate::{CostBody, books::Books, ledger::Place, open::Open, settle::Settle};

pin_project! {
    /// The future of [`Cost`](crate::Cost).
    #[must_use = "futures do nothing unless polled"]
    pub struct CostFuture<S>
    where
        S: Service<Request<Payload>>,
    {
        #[pin]
        state: State<S::Future>,
        service: S,
        books: Arc<Books>,
        began: Instant,
        // none before the request was read, and for what is passed through
        open: Option<Box<Open>>,
        // the answer's usage was asked for by this layer
        hides_usage: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        // the request's body
        Reading { read: Box<ReadPayload> },
        // for a place in the ledger's queue
        Queueing { place: PlaceFuture, request: Option<Request<Payload>> },
        // for the answer's head
        Sending { #[pin] sent: F },
        Done,
    }
}

type PlaceFuture = Pin<Box<dyn Future<Output = Place> + Send>>;

impl<S> CostFuture<S>
where
    S: Service<Request<Payload>>,
{
    pub(crate) fn new(read: ReadPayload, service: S, books: Arc<Books>) -> Self {
        let mut future = Self {
            state: State::Done,
            service,
            books,
            began: Instant::now(),
            open: None,
            hides_usage: false,
        };
        // most bodies are here already
        future.state = match read.now() {
            Ok(request) => future.begin(request),
            Err(read) => State::Reading {
                read: Box::new(read),
            },
        };
        future
    }

    fn begin(&mut self, request: Request<Payload>) -> State<S::Future> {
        begin(
            &self.books,
            &mut self.service,
            &mut self.open,
            &mut self.hides_usage,
            self.began,
            request,
        )
    }
}

/// The request was read: it is sent, or waits for a place in the ledger's queue.
fn begin<S: Service<Request<Payload>>>(
    books: &Arc<Books>,
    service: &mut S,
    open: &mut Option<Box<Open>>,
    hides_usage: &mut bool,
    began: Instant,
    mut request: Request<Payload>,
) -> State<S::Future> {
    let Some(mut opened) = Open::new(books, &request, began) else {
        let sent = service.call(request);
        return State::Sending { sent };
    };
    ask_for_plain_text(request.headers_mut());
    // where it can't be asked for the usage is estimated
    *hides_usage = Call::ask_usage(&mut request).unwrap_or(false);
    match books.desk.writer().place() {
        Ok(place) => {
            opened.sent(place);
            *open = Some(opened);
            let sent = service.call(request);
            State::Sending { sent }
        }
        Err(place) => {
            *open = Some(opened);
            let request = Some(request);
            State::Queueing { place, request }
        }
    }
}

impl<S, R> Future for CostFuture<S>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    S::Error: 'static,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<CostBody<R>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Reading { read } => {
                    let request = ready!(Pin::new(read).poll(cx));
                    let next = begin(
                        this.books,
                        this.service,
                        this.open,
                        this.hides_usage,
                        *this.began,
                        request,
                    );
                    this.state.set(next);
                }
                StateProj::Queueing { place, request } => {
                    let place = ready!(place.as_mut().poll(cx));
                    let (Some(request), Some(open)) = (request.take(), this.open.as_mut()) else {
                        panic!("a future is not polled after it was ready")
                    };
                    open.sent(place);
                    let sent = this.service.call(request);
                    this.state.set(State::Sending { sent });
                }
                StateProj::Sending { sent } => {
                    let outcome = ready!(sent.poll(cx));
                    this.state.set(State::Done);
                    return Poll::Ready(match (outcome, this.open.take()) {
                        (Ok(response), Some(open)) => Ok(answer(open, response, *this.hides_usage)),
                        (Ok(response), None) => Ok(response.map(unwatched)),
                        (Err(error), open) => {
                            if let Some(open) = open {
                                open.over(Standard.error(&error));
                            }
                            Err(error)
                        }
                    });
                }
                StateProj::Done => panic!("a future is not polled after it was ready"),
            }
        }
    }
}

fn answer<R>(mut open: Box<Open>, response: Response<R>, hides_usage: bool) -> Response<CostBody<R>>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    open.head(&response);
    let booked = open.booked();
    let mut response = if Refusal::of(&response).is_some() {
        open.over(Verdict::Refused);
        response.map(unwatched)
    } else {
        let (meter, response) = Meter::attach(response, open.call());
        open.answered(meter.clone());
        response.map(|body| {
            let body = UsageHidden::new(body, hides_usage.then_some(meter));
            Watch::new(body, Settle::new(open))
        })
    };
    response.extensions_mut().insert(booked);
    response
}

/// A body that is none of ours to book.
fn unwatched<R>(body: R) -> CostBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    Watch::new(UsageHidden::new(AnswerBody::inner(body), None), None)
}

impl<S> fmt::Debug for CostFuture<S>
where
    S: Service<Request<Payload>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CostFuture")
            .field("call", &self.open.as_ref().map(|open| open.call()))
            .finish_non_exhaustive()
    }
}
