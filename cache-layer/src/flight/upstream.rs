//! The upstream call of a flight, whoever polls it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, Dialect, ErrorAnswer, Meter, Payload, Peek, PeekLimits, Refusal,
    Verdict, WallClock, peek,
};
use tower_service::Service;

use crate::rules;

/// From getting the service ready to the end of the answer's body.
pub(super) struct Upstream<S: Service<Request<Payload>>, R> {
    state: State<S, R>,
    call: Arc<Call>,
    limits: PeekLimits,
    clock: WallClock,
    /// A poll of it panicked.
    fell: bool,
}

/// What is sent.
#[allow(
    clippy::large_enum_variant,
    reason = "it is nearly always the large one"
)]
pub(crate) enum Sending {
    /// This request.
    This(Request<Payload>),
    /// What is made of one as soon as the service is ready. `None`: nothing can be made of it.
    Made(Box<dyn FnOnce() -> Option<Request<Payload>> + Send>),
}

enum State<S: Service<Request<Payload>>, R> {
    Readying {
        service: S,
        request: Option<Sending>,
    },
    Calling(Pin<Box<S::Future>>),
    Peeking(Box<Peek<R>>),
    /// What was read ahead, then the rest, read by the meter.
    Body(AnswerBody<AnswerBody<R>>),
    Over,
}

/// What comes next of the call.
pub(super) enum Next<E, R> {
    /// An answer that others can share: its head.
    Head(Response<()>, Meter),
    /// It came to nothing that others can share.
    Failed(Failure<E, R>),
    /// A part of the body; with the second, its last.
    Data(Bytes, bool),
    Ended(Option<HeaderMap>),
    Broke(BoxError),
}

/// A call that failed: for who began it.
pub(crate) enum Failure<E, R> {
    Error(E),
    Answer(Response<AnswerBody<R>>, Verdict),
}

impl<E, R> Failure<E, R> {
    /// Whether an answer past its time is better.
    pub(crate) const fn is_outage(&self) -> bool {
        match self {
            Self::Error(_) => true,
            Self::Answer(_, verdict) => rules::is_outage(*verdict),
        }
    }
}

impl<S, R> Upstream<S, R>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    pub(super) const fn new(
        service: S,
        request: Sending,
        call: Arc<Call>,
        limits: PeekLimits,
        clock: WallClock,
    ) -> Self {
        let request = Some(request);
        Self {
            state: State::Readying { service, request },
            call,
            limits,
            clock,
            fell: false,
        }
    }

    /// It panicked, and is not polled again. It is let go of with the flight, not while it panics.
    pub(super) const fn fall(&mut self) {
        self.fell = true;
    }

    /// What a call came to that panicked, for who began it and was not polled just then.
    pub(super) fn fallen(&self) -> Failure<S::Error, R> {
        let message = "the service that makes the call panicked";
        let answer = ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, "call_panicked", message);
        let answer = answer.into_response(Some(self.call.dialect()));
        Failure::Answer(answer, Verdict::Failed)
    }

    /// Lets go of it, as nobody reads it any more or it is over.
    pub(super) fn end(&mut self) {
        self.state = State::Over;
    }

    /// The length of the rest of the body, where it is known.
    pub(super) fn exact_length(&self) -> Option<u64> {
        match &self.state {
            State::Body(body) => body.size_hint().exact(),
            _ => None,
        }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<S::Error, R>> {
        if self.fell {
            return Poll::Pending;
        }
        loop {
            match &mut self.state {
                State::Readying { service, request } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        return self.failed(Failure::Error(error));
                    }
                    let request = match request.take() {
                        None => return Poll::Pending,
                        Some(Sending::This(request)) => request,
                        Some(Sending::Made(make)) => match make() {
                            Some(request) => request,
                            None => {
                                let answer = not_made(self.call.dialect());
                                return self.failed(Failure::Answer(answer, Verdict::Failed));
                            }
                        },
                    };
                    if let Some(call) = Call::of(&request) {
                        self.call = Arc::clone(call);
                    }
                    self.state = State::Calling(Box::pin(service.call(request)));
                }
                State::Calling(sent) => match ready!(sent.as_mut().poll(cx)) {
                    Err(error) => return self.failed(Failure::Error(error)),
                    Ok(response) if Refusal::of(&response).is_some() => {
                        let answer = response.map(AnswerBody::inner);
                        return self.failed(Failure::Answer(answer, Verdict::Refused));
                    }
                    Ok(response) => {
                        let peek = peek(response, &self.call, self.limits, &self.clock);
                        self.state = State::Peeking(Box::new(peek));
                    }
                },
                State::Peeking(peek) => {
                    let (peeked, response) = ready!(Pin::new(peek).poll(cx));
                    let verdict = peeked.verdict();
                    if verdict != Verdict::Ok || response.status() != StatusCode::OK {
                        return self.failed(Failure::Answer(response, verdict));
                    }
                    let (meter, response) = Meter::attach(response, &self.call);
                    let (head, body) = response.into_parts();
                    self.state = State::Body(body);
                    return Poll::Ready(Next::Head(Response::from_parts(head, ()), meter));
                }
                State::Body(body) => {
                    let next = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                        None => Next::Ended(None),
                        Some(Err(error)) => Next::Broke(error),
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => {
                                // who reads by a length does not ask for the end
                                let last =
                                    body.is_end_stream() || body.size_hint().exact() == Some(0);
                                Next::Data(data, last)
                            }
                            Err(frame) => Next::Ended(frame.into_trailers().ok()),
                        },
                    };
                    if !matches!(next, Next::Data(_, false)) {
                        self.end();
                    }
                    return Poll::Ready(next);
                }
                // a call that is over says nothing more
                State::Over => return Poll::Pending,
            }
        }
    }

    fn failed(&mut self, failure: Failure<S::Error, R>) -> Poll<Next<S::Error, R>> {
        self.end();
        Poll::Ready(Next::Failed(failure))
    }
}

/// Nothing could be made of the request.
fn not_made<R>(dialect: Dialect) -> Response<AnswerBody<R>> {
    let message = "the part of the request that is not known yet could not be asked for";
    let answer = ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, "not_rewritten", message);
    answer.into_response(Some(dialect))
}
