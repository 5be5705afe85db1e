use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Dialect, ErrorAnswer, Payload, Peek, ReadPayload, Refusal,
    ask_for_plain_text, peek,
};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    gate::{Turn, Wait},
    shared::{Asking, Sent, Shared},
};

pin_project! {
    /// The future of [`ProviderQuota`](super::ProviderQuota).
    #[must_use = "futures do nothing unless polled"]
    pub struct QuotaFuture<S, R>
    where
        S: Service<Request<Payload>>,
    {
        #[pin]
        state: State<S, S::Future, R>,
        shared: Arc<Shared>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, R> {
        // the caller's body is read
        Reading { reading: Box<(ReadPayload, S)> },
        // the provider would throttle the call now
        Waiting { waiting: Box<Waiting<S>> },
        // or for too long
        Refused { refused: Option<(Duration, Dialect)> },
        // the inner response; nothing to be learnt from what is no LLM call
        Sending { #[pin] sending: F, sent: Option<Sent> },
        // what the error is
        Peeking { peek: Box<Peek<R>>, sent: Option<Sent> },
        Done,
    }
}

struct Waiting<S> {
    wait: Wait,
    /// Taken when the wait is over.
    call: Option<(Request<Payload>, Asking, S)>,
}

/// The instance that is ready goes into the future; its clone has to become ready itself.
fn take<S: Clone>(ready: &mut S) -> S {
    let clone = ready.clone();
    mem::replace(ready, clone)
}

/// Sends a call whose body was read, or what else becomes of it. `ready` is the instance that was
/// polled ready.
fn begin<S, R>(
    mut request: Request<Payload>,
    ready: &mut S,
    shared: &Arc<Shared>,
) -> State<S, S::Future, R>
where
    S: Service<Request<Payload>> + Clone,
{
    let Some(asking) = Asking::of(shared, &request) else {
        return State::Sending {
            sending: ready.call(request),
            sent: None,
        };
    };
    ask_for_plain_text(request.headers_mut());
    match asking.turn(shared) {
        Turn::Pass(pass) => State::Sending {
            sending: ready.call(request),
            sent: Some(asking.sent(shared, pass)),
        },
        Turn::Refuse(wait) => State::Refused {
            refused: Some((wait, asking.call.dialect())),
        },
        Turn::Wait(wait) => {
            #[cfg(feature = "metrics")]
            metrics::counter!("llm_quota_waits").increment(1);
            State::Waiting {
                waiting: Box::new(Waiting {
                    wait,
                    call: Some((request, asking, take(ready))),
                }),
            }
        }
    }
}

impl<S, R> QuotaFuture<S, R>
where
    S: Service<Request<Payload>> + Clone,
{
    pub(super) fn new(read: ReadPayload, ready: &mut S, shared: &Arc<Shared>) -> Self {
        Self {
            state: match read.now() {
                Ok(request) => begin(request, ready, shared),
                Err(read) => State::Reading {
                    reading: Box::new((read, take(ready))),
                },
            },
            shared: Arc::clone(shared),
        }
    }
}

impl<S, R> Future for QuotaFuture<S, R>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<AnswerBody<R>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { reading } => {
                    let request = ready!(Pin::new(&mut reading.0).poll(cx));
                    begin(request, &mut reading.1, this.shared)
                }
                StateProj::Waiting { waiting } => {
                    let turn = ready!(waiting.wait.as_mut().poll(cx));
                    let (request, asking, mut service) = waiting.call.take().expect(ONCE);
                    match turn {
                        Ok(pass) => State::Sending {
                            sending: service.call(request),
                            sent: Some(asking.sent(this.shared, pass)),
                        },
                        Err(wait) => State::Refused {
                            refused: Some((wait, asking.call.dialect())),
                        },
                    }
                }
                StateProj::Refused { refused } => {
                    let (wait, dialect) = refused.take().expect(ONCE);
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(refusal(wait, dialect)));
                }
                StateProj::Sending { sending, sent } => {
                    let answer = ready!(sending.poll(cx));
                    let sent = sent.take();
                    let response = match answer {
                        Ok(response) => response,
                        Err(error) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    };
                    match judge(response, sent, this.shared) {
                        Judged::Here(response) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Ok(response));
                        }
                        Judged::Peek(peek, sent) => State::Peeking {
                            peek,
                            sent: Some(sent),
                        },
                    }
                }
                StateProj::Peeking { peek, sent } => {
                    let (peeked, response) = ready!(Pin::new(peek).poll(cx));
                    sent.take().expect(ONCE).failed(&peeked, response.headers());
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(response));
                }
                StateProj::Done => panic!("{ONCE}"),
            };
            this.state.set(next);
        }
    }
}

const ONCE: &str = "a future is not polled after it was ready";

enum Judged<R> {
    Here(Response<AnswerBody<R>>),
    Peek(Box<Peek<R>>, Sent),
}

/// Nothing of a successful answer is held back: its head alone is read.
fn judge<R>(response: Response<R>, sent: Option<Sent>, shared: &Shared) -> Judged<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let unread = |response: Response<R>| Judged::Here(response.map(AnswerBody::inner));
    let Some(sent) = sent else {
        return unread(response);
    };
    // not sent after all: what goes first goes out again
    if Refusal::of(&response).is_some() {
        return unread(response);
    }
    // gRPC's errors are a 200 that has nothing but trailers
    let is_error = !response.status().is_success() || response.headers().contains_key(GRPC_STATUS);
    if is_error {
        let peek = peek(
            response,
            &sent.call,
            shared.settings.peek,
            &shared.settings.clock,
        );
        return Judged::Peek(Box::new(peek), sent);
    }
    sent.answered(response.headers());
    unread(response)
}

const GRPC_STATUS: &str = "grpc-status";

fn refusal<R>(wait: Duration, dialect: Dialect) -> Response<AnswerBody<R>> {
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_quota_refusals").increment(1);
    let answer = ErrorAnswer::new(
        StatusCode::TOO_MANY_REQUESTS,
        "provider_quota",
        "the provider's rate limit is used up; the call was not sent",
    );
    Refusal::new("provider-quota", answer.retry_after(wait)).into_response(Some(dialect))
}

impl<S, R> fmt::Debug for QuotaFuture<S, R>
where
    S: Service<Request<Payload>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaFuture").finish_non_exhaustive()
    }
}
