//! An answer whose head was given before the upstream's came.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body::Body;
use llm_exchange::{AnswerBody, BoxError, ErrorAnswer, Payload, ProviderError, stream};

use super::{
    Upstream,
    body::{Answered, answered},
    caller::Caller,
    stream::Stream,
};
use crate::{quiet::Quiet, tell};

/// The most that is read of an answer that is no stream.
const MOST: usize = Payload::DEFAULT_MAX_BYTES;

/// Waits for the answer, with comments, and turns what is no stream into one.
pub(super) struct Early<F, R> {
    waiting: Waiting<F, R>,
    quiet: Quiet,
    keep_alive: Bytes,
    /// Taken when the answer is known.
    caller: Option<Caller>,
    /// Something was written, so that the head went out.
    begun: bool,
}

enum Waiting<F, R> {
    /// For the inner response. The mutex is never contended: it makes the body `Sync`, and is entered
    /// by exclusive reference.
    Call(Mutex<Pin<Box<F>>>),
    /// For all of an answer that is no stream.
    Rest {
        status: StatusCode,
        body: AnswerBody<R>,
        read: BytesMut,
    },
    Nothing,
}

/// What comes next.
pub(super) enum Next<R> {
    Data(Bytes),
    /// The last data.
    Last(Bytes),
    Stream(Box<Stream<Upstream<R>>>),
}

impl<F, R> Early<F, R> {
    pub(super) fn new(call: Pin<Box<F>>, caller: Caller) -> Self {
        Self {
            waiting: Waiting::Call(Mutex::new(call)),
            quiet: Quiet::new(caller.settings.keep_alive),
            keep_alive: caller.keep_alive(),
            caller: Some(caller),
            begun: false,
        }
    }
}

impl<F, R, E> Early<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next<R>>> {
        loop {
            if !self.begun {
                self.begun = true;
                return Poll::Ready(Some(Next::Data(self.keep_alive.clone())));
            }
            match &mut self.waiting {
                Waiting::Nothing => return Poll::Ready(None),
                Waiting::Call(call) => {
                    let call = call.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let Poll::Ready(answer) = call.as_mut().poll(cx) else {
                        ready!(self.quiet.poll(cx));
                        return Poll::Ready(Some(Next::Data(self.keep_alive.clone())));
                    };
                    self.waiting = Waiting::Nothing;
                    match answer {
                        Err(_) => return Poll::Ready(Some(Next::Last(self.failed()))),
                        Ok(response) => {
                            if let Some(stream) = self.answered(response) {
                                return Poll::Ready(Some(Next::Stream(stream)));
                            }
                        }
                    }
                }
                Waiting::Rest { status, body, read } => match Pin::new(body).poll_frame(cx) {
                    Poll::Pending => {
                        ready!(self.quiet.poll(cx));
                        return Poll::Ready(Some(Next::Data(self.keep_alive.clone())));
                    }
                    Poll::Ready(Some(Ok(frame))) if read.len() < MOST => {
                        if let Some(data) = frame.data_ref() {
                            read.extend_from_slice(data);
                        }
                    }
                    // its end, or as much as is worth it
                    Poll::Ready(_) => {
                        let (status, read) = (*status, read.split());
                        self.waiting = Waiting::Nothing;
                        return Poll::Ready(Some(Next::Last(self.converted(status, &read))));
                    }
                },
            }
        }
    }

    fn answered(&mut self, response: Response<R>) -> Option<Box<Stream<Upstream<R>>>> {
        let status = response.status();
        // there is one until the answer is known
        let caller = self.caller.take()?;
        match answered(response, caller, true) {
            Answered::Stream(response) => Some(response.into_body()),
            Answered::Other(response, caller) => {
                self.caller = Some(caller);
                self.waiting = Waiting::Rest {
                    status,
                    body: response.into_body(),
                    read: BytesMut::new(),
                };
                None
            }
        }
    }

    /// An answer that is no stream, as the stream that the caller was promised.
    fn converted(&self, status: StatusCode, body: &[u8]) -> Bytes {
        let Some(caller) = &self.caller else {
            return Bytes::new();
        };
        let dialect = caller.call.dialect();
        if status.is_success()
            && let Ok(events) = stream::expand(dialect, body, caller.asked_usage)
        {
            tell::ended("complete");
            let events: Vec<_> = events.iter().map(|event| event.raw().as_ref()).collect();
            return events.concat().into();
        }
        tell::ended("error");
        if let Some(error) = ProviderError::from_body(body) {
            return ErrorAnswer::of_provider(status, &error).in_stream(Some(dialect));
        }
        // a success that cannot be read is none
        let status = if status.is_success() {
            StatusCode::BAD_GATEWAY
        } else {
            status
        };
        let message = "the provider's answer was no stream";
        ErrorAnswer::new(status, "no_stream", message).in_stream(Some(dialect))
    }

    fn failed(&self) -> Bytes {
        tell::ended("broken");
        let dialect = self.caller.as_ref().map(|caller| caller.call.dialect());
        let message = "the provider could not be reached";
        ErrorAnswer::new(StatusCode::BAD_GATEWAY, "upstream_failed", message).in_stream(dialect)
    }
}
