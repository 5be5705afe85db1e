use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Classify, FromCache, Meter, Payload, ReadPayload, Refusal, Standard,
    UsageHidden, Watch,
};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    BudgetBody,
    admit::{Next, admit},
    body::Held,
    budget::Budget,
    headers,
    open::{Guard, Settle},
    sending::Admission,
    store::{Reserved, Store},
    tell,
};

pin_project! {
    /// The future of [`Budgeted`](crate::Budgeted).
    #[must_use = "futures do nothing unless polled"]
    pub struct BudgetFuture<I, R, S>
    where
        I: Service<Request<Payload>>,
        S: Store,
    {
        #[pin]
        state: State<I::Future, S>,
        service: I,
        budget: Arc<Budget<S>>,
        // settles the call when the future is dropped; none for what is passed through
        guard: Option<Guard<S>>,
        // the answer's usage was asked for by this layer
        hides_usage: bool,
        answer: PhantomData<fn() -> R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, S: Store> {
        // the request's body
        Reading { read: Box<ReadPayload> },
        // what was read, to be looked at
        Read { request: Option<Request<Payload>> },
        // for the store
        Reserving { reserve: S::Reserve, admission: Option<Box<Admission<S>>> },
        // for the answer's head
        Sending { #[pin] sent: F },
        Done,
    }
}

impl<I, R, S> BudgetFuture<I, R, S>
where
    I: Service<Request<Payload>>,
    S: Store,
{
    pub(crate) fn new(read: ReadPayload, service: I, budget: Arc<Budget<S>>) -> Self {
        let state = match read.now() {
            Ok(request) => State::Read {
                request: Some(request),
            },
            Err(read) => State::Reading {
                read: Box::new(read),
            },
        };
        Self {
            state,
            service,
            budget,
            guard: None,
            hides_usage: false,
            answer: PhantomData,
        }
    }
}

impl<I, R, S> Future for BudgetFuture<I, R, S>
where
    I: Service<Request<Payload>, Response = Response<R>>,
    I::Error: 'static,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    S: Store,
{
    type Output = Result<Response<BudgetBody<R, S>>, I::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { read } => {
                    let request = Some(ready!(Pin::new(read).poll(cx)));
                    this.state.set(State::Read { request });
                    continue;
                }
                StateProj::Read { request } => {
                    let Some(request) = request.take() else {
                        panic!("a future is not polled after it was ready")
                    };
                    admit(this.budget, request)
                }
                StateProj::Reserving { reserve, admission } => {
                    let reserved = ready!(Pin::new(reserve).poll(cx));
                    let Some(admission) = admission.take() else {
                        panic!("a future is not polled after it was ready")
                    };
                    match reserved {
                        Ok(Reserved::Granted(grant)) => match admission.granted(grant) {
                            Ok((request, guard, hides_usage)) => {
                                Next::Admitted(request, guard, hides_usage)
                            }
                            Err(refused) => Next::Refused(refused),
                        },
                        Ok(Reserved::Refused(refused)) => {
                            Next::Refused(Box::new(admission.refused(&refused)))
                        }
                        Err(error) => {
                            tell::away(&error);
                            Next::Refused(Box::new(admission.away()))
                        }
                    }
                }
                StateProj::Sending { sent } => {
                    let outcome = ready!(sent.poll(cx));
                    this.state.set(State::Done);
                    return Poll::Ready(match (outcome, this.guard.take()) {
                        (Ok(response), Some(guard)) => {
                            Ok(answer(guard, response, *this.hides_usage))
                        }
                        (Ok(response), None) => Ok(response.map(AnswerBody::inner).map(unwatched)),
                        (Err(error), guard) => {
                            if let Some(guard) = guard {
                                guard.open().failed(Standard.error(&error));
                            }
                            Err(error)
                        }
                    });
                }
                StateProj::Done => panic!("a future is not polled after it was ready"),
            };
            let request = match next {
                Next::PassThrough(request) => request,
                Next::Admitted(request, guard, hides_usage) => {
                    guard.open().sent();
                    *this.guard = Some(guard);
                    *this.hides_usage = hides_usage;
                    request
                }
                Next::Reserve(reserve, admission) => {
                    this.state.set(State::Reserving {
                        reserve,
                        admission: Some(admission),
                    });
                    continue;
                }
                Next::Refused(answer) => {
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(answer.map(unwatched)));
                }
            };
            let sent = this.service.call(request);
            this.state.set(State::Sending { sent });
        }
    }
}

/// The answer as the caller gets it.
fn answer<R, S>(
    guard: Guard<S>,
    response: Response<R>,
    hides_usage: bool,
) -> Response<BudgetBody<R, S>>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    S: Store,
{
    let at_first = guard.open().at_first;
    let told = [
        (headers::REMAINING, guard.open().remaining.clone()),
        (headers::WARNING, guard.open().warning.clone()),
    ];
    let mut response = if Refusal::of(&response).is_some() || FromCache::of(&response).is_some() {
        guard.open().not_made();
        drop(guard);
        response.map(AnswerBody::inner).map(unwatched)
    } else {
        let open = Arc::clone(guard.open());
        let (meter, mut response) = Meter::attach(response, &open.call);
        let is_held = meter.is_stream() && open.budget.is_enforced();
        if is_held {
            // it may be ended before its announced length
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response.map(|body| {
            let body = Held::new(body, is_held.then(|| (open, meter.clone())));
            let body = UsageHidden::new(body, hides_usage.then(|| meter.clone()));
            Watch::new(body, Settle::new(guard, meter))
        })
    };
    response.extensions_mut().insert(at_first);
    for (name, value) in told {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A body of which nothing is settled.
fn unwatched<R, S>(body: AnswerBody<R>) -> BudgetBody<R, S>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    S: Store,
{
    Watch::new(UsageHidden::new(Held::new(body, None), None), None)
}

impl<I, R, S> fmt::Debug for BudgetFuture<I, R, S>
where
    I: Service<Request<Payload>>,
    S: Store,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetFuture")
            .field("call", &self.guard.as_ref().map(|guard| &guard.open().call))
            .finish_non_exhaustive()
    }
}
