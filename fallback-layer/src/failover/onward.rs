//! Sending a call on from the middle of its answer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, Classify, Meter, Payload, ProviderError, Verdict, Watch,
    stream::StreamError,
};
use tower_service::Service;

use super::request::Beginning;
use crate::{FallbackFuture, OnFallback, Own, body::Remember};

/// How an answer broke off.
pub(crate) struct Died {
    pub(crate) ending: Ending,
    pub(crate) meter: Meter,
    pub(crate) beginning: Beginning,
}

/// What ended it.
pub(crate) enum Ending {
    /// An error that its provider, or a layer further in, wrote into it.
    Said(ProviderError),
    /// The body, and what that means.
    Broke(Verdict),
}

impl Ending {
    pub(super) fn of(error: &StreamError) -> Self {
        match error.provider_error() {
            Some(error) => Self::Said(error.clone()),
            None => Self::Broke(Verdict::Failed),
        }
    }
}

/// The answer that goes on.
pub(crate) struct Next<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    pub(crate) part: Watch<AnswerBody<R>, Remember>,
    pub(crate) meter: Meter,
    pub(crate) call: Arc<Call>,
    pub(crate) target: String,
    /// Whether it may begin with what it goes on from.
    pub(crate) echoes: bool,
    /// What of the call was not carried over to its dialect.
    pub(crate) left_out: Option<String>,
}

/// What came of a further attempt.
pub(crate) enum Part<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    Next(Next<R>),
    /// It does not go on, and another target is asked.
    Later,
    /// It does not go on, nor does any other.
    Nobody,
}

/// The rest of a call's course, kept with the body of its answer.
pub(crate) trait Onward<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// Leaves the attempt whose answer broke off for a further one. False: none may be made.
    fn begin(&mut self, died: Died) -> bool;

    /// The answer of a further attempt that goes on. `None`: none did.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next<R>>>;
}

/// By the future that drives a call's targets.
pub(super) struct Going<S, R, O, C, H>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    future: Future<S, R, O, C, H>,
    times: u32,
}

type Future<S, R, O, C, H> = Pin<Box<FallbackFuture<S, R, O, C, H>>>;

impl<S, R, O, C, H> Going<S, R, O, C, H>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    pub(super) fn new(future: FallbackFuture<S, R, O, C, H>, times: u32) -> Self {
        Self {
            future: Box::pin(future),
            times,
        }
    }
}

impl<S, R, O, C, H> Onward<R> for Going<S, R, O, C, H>
where
    S: Service<Request<Payload>, Response = http::Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
    C: Classify<S::Error> + Clone,
    H: OnFallback + Clone,
{
    fn begin(&mut self, died: Died) -> bool {
        let begun = self.times > 0 && self.future.as_mut().go_on(died);
        if begun {
            self.times -= 1;
        }
        begun
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next<R>>> {
        loop {
            let Ok(answer) = ready!(self.future.as_mut().poll(cx)) else {
                return Poll::Ready(None);
            };
            match self.future.as_mut().next_part(answer) {
                Part::Next(next) => return Poll::Ready(Some(next)),
                Part::Later => {}
                Part::Nobody => return Poll::Ready(None),
            }
        }
    }
}
