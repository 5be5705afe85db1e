//! The same future once more, for the rest of a call whose answer broke off.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{BoxError, Classify, Payload, Peeked, Verdict};
use tower_service::Service;

use super::{
    FallbackFuture,
    attempt::{Attempt, State},
    hedging::Hedge,
};
use crate::{
    FallbackBody, OnFallback, Own,
    course::{Course, OfTarget},
    failover::{Died, Ending, Next, Part, readable},
    leave::Outcome,
    shared::Shared,
    walk::Cause,
};

/// On an answer that was translated: what of the request was not carried over.
const LEFT_OUT: HeaderName = HeaderName::from_static("x-llm-left-out");

impl<S, R, O, C, H> FallbackFuture<S, R, O, C, H>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    /// At rest until the answer that is handed on breaks off.
    pub(super) fn onward(inner: S, shared: Shared<O, C, H>, course: Course) -> Self {
        Self {
            attempt: Attempt::new(State::Done, inner),
            hedge: Hedge::Off,
            shared,
            course: Some(course),
            failover: (),
        }
    }
}

impl<S, R, O, C, H> FallbackFuture<S, R, O, C, H>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
    C: Classify<S::Error>,
    H: OnFallback,
{
    /// Leaves the attempt whose answer broke off for one that goes on. False: none may be made.
    pub(crate) fn go_on(self: Pin<&mut Self>, died: Died) -> bool {
        let mut this = self.project();
        let Some(course) = this.course.as_mut() else {
            return false;
        };
        let Shared {
            settings,
            classify,
            hook,
            ..
        } = &*this.shared;
        let verdict = match died.ending {
            Ending::Said(error) => classify.answer(&Peeked::new(StatusCode::OK).with_error(error)),
            Ending::Broke(verdict) => verdict,
        };
        if settings.rules.cause(&Outcome::of(verdict)) != Some(Cause::Any) {
            return false;
        }
        let Some(request) = course.go_on(died.beginning, verdict, died.meter, settings, hook)
        else {
            return false;
        };
        this.begin_turn(request);
        true
    }

    /// The answer that came, if it goes on; else there may be another one to come.
    pub(crate) fn next_part(self: Pin<&mut Self>, answer: Response<FallbackBody<R>>) -> Part<R> {
        let mut this = self.project();
        let Some(course) = this.course.as_mut() else {
            return Part::Nobody;
        };
        let Shared { settings, hook, .. } = &*this.shared;
        let Some((call, target, echoes)) = course.take_served(settings) else {
            return Part::Nobody;
        };
        let Some(meter) = readable(&answer) else {
            let (outcome, meter) = (Outcome::of(Verdict::Failed), OfTarget::meter(&answer));
            let next = course.leave(&outcome, meter.clone(), Cause::Any, settings, hook);
            let Some(request) = next else {
                course.leave_behind(Verdict::Failed, meter);
                return Part::Nobody;
            };
            // with its connection, before anything else is asked
            drop(answer);
            this.begin_turn(request);
            return Part::Later;
        };
        course.note_went_on(settings);
        let left_out = answer.headers().get(LEFT_OUT);
        let left_out = left_out.and_then(|names| names.to_str().ok().map(str::to_owned));
        let Some(part) = answer.into_body().into_one() else {
            return Part::Nobody;
        };
        Part::Next(Next {
            part,
            meter,
            call,
            target: target.as_str().to_owned(),
            echoes,
            left_out,
        })
    }
}

impl<O, C: Clone, H: Clone> Clone for Shared<O, C, H> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            classify: self.classify.clone(),
            hook: self.hook.clone(),
        }
    }
}
