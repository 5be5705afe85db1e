use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, Dialect, Meter, Payload, ReadPayload, Refusal, ask_for_plain_text,
};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::{
    StreamTimeoutBody,
    clocks::{Answer, Progress},
    cut::{Form, Why},
    layer::Settings,
    running::Running,
};
use crate::tell;

/// The most that is read ahead of an answer that is held back.
const MOST_HELD: u64 = 64 << 10;

pin_project! {
    /// The future of [`StreamTimeout`](crate::StreamTimeout).
    #[must_use = "futures do nothing unless polled"]
    pub struct StreamTimeoutFuture<S, R>
    where
        S: Service<Request<Payload>>,
    {
        #[pin]
        state: State<S, S::Future, R>,
        settings: Arc<Settings>,
        // none before the request was read, and for what no clock watches
        attempt: Option<Attempt>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, R> {
        // the caller's body; boxed, as a call that was read before never is here
        Reading { reading: Option<Box<(ReadPayload, S)>> },
        // the inner response
        Sending { #[pin] sent: F },
        // the answer, held back until its first content; boxed, as most are not
        Holding { held: Option<Box<Held<R>>> },
        Done,
    }
}

struct Held<R> {
    dialect: Option<Dialect>,
    response: Response<StreamTimeoutBody<R>>,
    until: Pin<Box<Sleep>>,
}

struct Attempt {
    running: Running,
    /// `None`: a gRPC call of which nothing else is known.
    call: Option<Arc<Call>>,
}

impl Attempt {
    /// `None`: neither an LLM call nor gRPC.
    fn of(request: &mut Request<Payload>, settings: &Settings) -> Option<Self> {
        let call = Call::of(request).cloned();
        let (model, stream) = match &call {
            Some(call) => (call.model(), call.is_stream()),
            None if is_grpc(request.headers()) => (None, false),
            None => return None,
        };
        let running = Running::new(settings.timeouts(model), stream);
        if stream {
            ask_for_plain_text(request.headers_mut());
        }
        Some(Self { running, call })
    }

    fn dialect(&self) -> Option<Dialect> {
        self.call.as_ref().map(|call| call.dialect())
    }

    fn stand_in<R>(&self, why: Why) -> Response<StreamTimeoutBody<R>> {
        tell::cut_off(why.label());
        why.stand_in(self.dialect()).map(StreamTimeoutBody::new)
    }

    /// The head came: the answer with its clocks, and until when it is to be held back.
    fn answered<R: Body>(
        mut self,
        response: Response<R>,
        settings: &Settings,
    ) -> (Response<StreamTimeoutBody<R>>, Option<Instant>) {
        let (response, form, meter) = match &self.call {
            Some(call) if is_event_stream(response.headers()) => {
                let (meter, response) = Meter::attach(response, call);
                // a compressed stream is none that can be read
                let form = match meter.is_stream() {
                    true => Form::Events(meter.dialect()),
                    false => Form::Other,
                };
                (response, form, Some(meter).filter(Meter::is_stream))
            }
            _ if is_grpc(response.headers()) => (response.map(AnswerBody::inner), Form::Grpc, None),
            _ => (response.map(AnswerBody::inner), Form::Other, None),
        };
        self.running.head(match form {
            Form::Other => Answer::Whole,
            Form::Events(_) | Form::Grpc => Answer::Stream,
        });
        let now = Instant::now();
        let commit = now.checked_add(settings.hold);
        let earliest = self.running.earliest(now);
        let hold = commit.filter(|commit| earliest.is_some_and(|earliest| earliest <= *commit));
        let running = self.running;
        let body = |upstream| StreamTimeoutBody::timed(upstream, running, form, meter);
        (response.map(body), hold)
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    starts_with(headers, b"text/event-stream")
}

fn is_grpc(headers: &HeaderMap) -> bool {
    starts_with(headers, b"application/grpc")
}

fn starts_with(headers: &HeaderMap, media_type: &[u8]) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.as_bytes());
    value
        .and_then(|value| value.trim_ascii_start().get(..media_type.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(media_type))
}

impl<S, R> StreamTimeoutFuture<S, R>
where
    S: Service<Request<Payload>>,
{
    pub(crate) fn new(read: ReadPayload, mut service: S, settings: Arc<Settings>) -> Self {
        match read.now() {
            Ok(mut request) => {
                let attempt = Attempt::of(&mut request, &settings);
                let sent = service.call(request);
                Self {
                    state: State::Sending { sent },
                    settings,
                    attempt,
                }
            }
            Err(read) => Self {
                state: State::Reading {
                    reading: Some(Box::new((read, service))),
                },
                settings,
                attempt: None,
            },
        }
    }
}

impl<S, R> Future for StreamTimeoutFuture<S, R>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<StreamTimeoutBody<R>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let response = match this.state.as_mut().project() {
                StateProj::Reading { reading } => {
                    let (read, service) = &mut **reading.as_mut().expect(AFTER);
                    let mut request = ready!(Pin::new(read).poll(cx));
                    *this.attempt = Attempt::of(&mut request, this.settings);
                    let sent = service.call(request);
                    this.state.set(State::Sending { sent });
                    continue;
                }
                StateProj::Sending { sent } => match sent.poll(cx) {
                    Poll::Ready(Err(error)) => Err(error),
                    Poll::Ready(Ok(response)) => match this.attempt.take() {
                        // nothing was sent that could be waited for
                        Some(attempt) if Refusal::of(&response).is_none() => {
                            let dialect = attempt.dialect();
                            let (response, hold) = attempt.answered(response, this.settings);
                            if let Some(until) = hold {
                                let held = Held {
                                    dialect,
                                    response,
                                    until: Box::pin(sleep_until(until)),
                                };
                                let held = Some(Box::new(held));
                                this.state.set(State::Holding { held });
                                continue;
                            }
                            Ok(response)
                        }
                        _ => Ok(response.map(AnswerBody::inner).map(StreamTimeoutBody::new)),
                    },
                    Poll::Pending => {
                        let Some(attempt) = this.attempt else {
                            return Poll::Pending;
                        };
                        let clock = ready!(attempt.running.poll_waiting(Progress::default(), cx));
                        Ok(attempt.stand_in(attempt.running.why(clock)))
                    }
                },
                StateProj::Holding { held } => {
                    let Held {
                        dialect,
                        response,
                        until,
                    } = &mut **held.as_mut().expect(AFTER);
                    match response.body_mut().poll_ahead(MOST_HELD, cx) {
                        Poll::Ready(Err(why)) => {
                            tell::cut_off(why.label());
                            Ok(why.stand_in(*dialect).map(StreamTimeoutBody::new))
                        }
                        Poll::Pending if until.as_mut().poll(cx).is_pending() => {
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(())) | Poll::Pending => {
                            Ok(held.take().expect(AFTER).response)
                        }
                    }
                }
                StateProj::Done => panic!("{AFTER}"),
            };
            // an attempt that is given up is let go before its stand-in is handed on
            this.state.set(State::Done);
            return Poll::Ready(response);
        }
    }
}

const AFTER: &str = "a future is not polled after it was ready";

impl<S, R> fmt::Debug for StreamTimeoutFuture<S, R>
where
    S: Service<Request<Payload>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamTimeoutFuture")
            .finish_non_exhaustive()
    }
}
