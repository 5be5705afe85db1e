use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
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
    cut::Why,
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
    dialect: Dialect,
    response: Response<StreamTimeoutBody<R>>,
    until: Pin<Box<Sleep>>,
}

struct Attempt {
    running: Running,
    /// How long its answer may be held back.
    hold: Duration,
    call: Arc<Call>,
}

impl Attempt {
    /// `None`: it is no LLM call, or one that goes both ways and may rest as long as it likes.
    fn of(request: &mut Request<Payload>, settings: &Settings) -> Option<Self> {
        let call = Call::of(request).filter(|call| !call.dialect().goes_both_ways())?;
        let call = Arc::clone(call);
        let (timeouts, hold) = settings.of(call.model());
        let running = Running::new(timeouts, call.is_stream());
        if call.is_stream() {
            ask_for_plain_text(request.headers_mut());
        }
        Some(Self {
            running,
            hold,
            call,
        })
    }

    fn stand_in<R>(&self, why: Why) -> Response<StreamTimeoutBody<R>> {
        tell::cut_off(why.label());
        why.stand_in(self.call.dialect())
            .map(StreamTimeoutBody::new)
    }

    /// The head came: the answer with its clocks, and until when it is to be held back.
    fn answered<R: Body>(
        mut self,
        response: Response<R>,
    ) -> (Response<StreamTimeoutBody<R>>, Option<Instant>) {
        let dialect = self.call.dialect();
        // an answer that is not read event by event needs no reader here
        let (meter, response) = if self.call.is_stream() {
            let (meter, response) = Meter::attach(response, &self.call);
            (Some(meter).filter(Meter::is_stream), response)
        } else {
            (None, response.map(AnswerBody::inner))
        };
        self.running.head(match meter {
            Some(_) => Answer::Stream,
            None => Answer::Whole,
        });
        let now = Instant::now();
        let commit = now.checked_add(self.hold);
        let earliest = self.running.earliest(now);
        let hold = commit.filter(|commit| earliest.is_some_and(|earliest| earliest <= *commit));
        let running = self.running;
        let body = |upstream| StreamTimeoutBody::timed(upstream, running, dialect, meter);
        (response.map(body), hold)
    }
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
                            let dialect = attempt.call.dialect();
                            let (response, hold) = attempt.answered(response);
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
