mod attempt;
mod hedging;
mod onward;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Classify, Cut, ErrorAnswer, Meter, Payload, ReadPayload, Verdict,
};
use pin_project_lite::pin_project;
use tower_service::Service;

use self::{
    attempt::{Attempt, State, StateProj, Translating, taken},
    hedging::Hedge,
};
use crate::{
    FallbackBody, GoesOn, OnFallback, Own,
    came::{Answer, Came},
    course::{Course, OfTarget},
    layer::Settings,
    leave::Outcome,
    shared::Shared,
    walk::Cause,
};

pin_project! {
    #[project = Projected]
    /// The future of [`Fallback`](crate::Fallback).
    #[must_use = "futures do nothing unless polled"]
    pub struct FallbackFuture<S, R, O, C, H, F = ()>
    where
        S: Service<Request<Payload>>,
        O: Own<S>,
    {
        #[pin]
        attempt: Attempt<S, R, O>,
        hedge: Hedge<S, R, O>,
        shared: Shared<O, C, H>,
        // none before the request was read, and for what is passed through
        course: Option<Course>,
        failover: F,
    }

    impl<S, R, O, C, H, F> PinnedDrop for FallbackFuture<S, R, O, C, H, F>
    where
        S: Service<Request<Payload>>,
        O: Own<S>,
    {
        fn drop(this: Pin<&mut Self>) {
            this.project().abandon();
        }
    }
}

impl<S, R, O, C, H, F> FallbackFuture<S, R, O, C, H, F>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    pub(crate) fn new(
        read: ReadPayload,
        inner: S,
        settings: Arc<Settings<O>>,
        classify: C,
        hook: H,
        failover: F,
    ) -> Self {
        let attempt = Attempt::new(State::Readying, inner);
        let shared = Shared {
            settings,
            classify,
            hook,
        };
        let mut this = Self {
            attempt,
            hedge: Hedge::Off,
            shared,
            course: None,
            failover,
        };
        match read.now() {
            Ok(request) => {
                let began = this.attempt.turn.at;
                let request = this.attempt.request.insert(request);
                if let Err(answer) = this.shared.set_out(request, began, &mut this.course) {
                    this.attempt.state = State::answered(answer);
                }
                this.attempt.own = this.shared.own(this.course.as_ref());
                this.hedge = this.shared.hedge(this.course.as_ref(), began);
            }
            Err(read) => {
                this.attempt.state = State::Reading {
                    read: Box::new(read),
                };
            }
        }
        this
    }
}

/// What the caller gets.
type Answered<R, E> = Result<Response<FallbackBody<R>>, E>;

impl<S, R, O, C, H, F> Projected<'_, S, R, O, C, H, F>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
    C: Classify<S::Error>,
    H: OnFallback,
{
    /// What has no course: the body that is still read, and what is passed through or answered at
    /// once. `None`: the call has set out on its course.
    fn poll_without_course(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answered<R, S::Error>>> {
        let mut attempt = self.attempt.as_mut().project();
        loop {
            match attempt.state.as_mut().project() {
                StateProj::Reading { read } => {
                    let request = ready!(Pin::new(read).poll(cx));
                    let began = attempt.turn.at;
                    let request = attempt.request.insert(request);
                    attempt.state.set(State::Readying);
                    match self.shared.set_out(request, began, self.course) {
                        Ok(()) if self.course.is_some() => {
                            *attempt.own = self.shared.own(self.course.as_ref());
                            *self.hedge = self.shared.hedge(self.course.as_ref(), began);
                            return Poll::Ready(None);
                        }
                        Ok(()) => {}
                        Err(answer) => attempt.state.set(State::answered(answer)),
                    }
                }
                StateProj::Readying => {
                    ready!(attempt.inner.poll_ready(cx))?;
                    let sent = attempt.inner.call(taken(attempt.request));
                    attempt.state.set(State::Sending { sent });
                }
                StateProj::Sending { sent } => {
                    let response = ready!(sent.poll(cx))?;
                    let body = |body| FallbackBody::new(AnswerBody::inner(body), None);
                    attempt.state.set(State::Done);
                    return Poll::Ready(Some(Ok(response.map(body))));
                }
                StateProj::Answered { answer } => {
                    let answer = taken(answer).map(|body| FallbackBody::new(body, None));
                    attempt.state.set(State::Done);
                    return Poll::Ready(Some(Ok(answer)));
                }
                _ => panic!("a future is not polled after it was ready"),
            }
        }
    }

    /// The answer, as one that goes on where it breaks, if it may.
    fn hand_on(
        &mut self,
        response: Response<FallbackBody<R>>,
        cause: Option<Cause>,
    ) -> Response<FallbackBody<R>>
    where
        C: Clone,
        H: Clone,
        F: GoesOn<S, R, O, C, H>,
    {
        let course = self.course.as_ref().filter(|_| cause.is_none());
        let Some(course) = course.filter(|course| course.may_be_joined(&self.shared.settings))
        else {
            return response;
        };
        // what was translated is the caller's again
        let call = match OfTarget::is_of(&response) {
            true => course.call(),
            false => course.sent(),
        };
        self.failover.join(response, Arc::clone(call), || {
            let (inner, shared) = (self.attempt.inner.clone(), self.shared.clone());
            FallbackFuture::onward(inner, shared, taken(self.course))
        })
    }

    /// The turn of the current target has come.
    fn begin_turn(&mut self, request: Request<Payload>) {
        let own = self.shared.own(self.course.as_ref());
        self.attempt.as_mut().begin(request, own);
        *self.hedge = Hedge::Off;
    }
}

impl<S, R, O, C, H, F> Future for FallbackFuture<S, R, O, C, H, F>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
    C: Classify<S::Error> + Clone,
    H: OnFallback + Clone,
    F: GoesOn<S, R, O, C, H>,
{
    type Output = Result<Response<FallbackBody<R>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if this.course.is_none()
                && let Some(answer) = ready!(this.poll_without_course(cx))
            {
                return Poll::Ready(answer);
            }
            if let StateProj::Translating { translating } =
                this.attempt.as_mut().project().state.project()
                && let Some(course) = this.course.as_mut()
            {
                let mut response = ready!(Pin::new(&mut translating.answer).poll(cx));
                let Translating {
                    meter,
                    outcome,
                    cause,
                    ..
                } = &mut **translating;
                if let Some(meter) = meter.take() {
                    response.extensions_mut().insert(OfTarget(meter));
                }
                let (settings, cause) = (&*this.shared.settings, *cause);
                let answer = finish(course, Ok(response), outcome, cause, settings);
                this.attempt.as_mut().project().state.set(State::Done);
                return Poll::Ready(answer.map(|response| this.hand_on(response, cause)));
            }
            let Came { outcome, answer } = ready!(this.poll_targets(cx));
            let began = this.began();
            let Some(course) = this.course.as_mut() else {
                continue;
            };
            let Shared { settings, hook, .. } = &*this.shared;
            let mut cause = settings.rules.cause(&outcome);
            if course.is_onward() && outcome.verdict != Verdict::Ok {
                // what is wrong with the call now is our own doing
                cause = Some(Cause::Any);
            }
            let next = cause.and_then(|cause| {
                let meter = answer.meter().cloned();
                course.leave(&outcome, meter, cause, settings, hook)
            });
            if let Some(request) = next {
                if let Answer::Late(Some(meter)) = &answer {
                    meter.cut(Cut::Clock);
                }
                // with its connection, before anything else is asked
                drop(answer);
                this.begin_turn(request);
                continue;
            }
            let answer = match answer {
                Answer::Is(answer) => answer,
                // it is waited for, as nothing else can be tried
                Answer::Late(_) if this.wait() => continue,
                Answer::Late(_) => Ok(not_ready(this.course.as_ref())),
            };
            let Some(course) = this.course.as_mut() else {
                continue;
            };
            let settings = &*this.shared.settings;
            this.attempt.as_mut().project().state.set(State::Done);
            *this.hedge = Hedge::Off;
            if cause.is_none() {
                course.learn(&outcome, began, settings);
            }
            let (translation, answer) = match answer {
                Ok(response) => (course.translation(cause), Ok(response)),
                Err(error) => (None, Err(error)),
            };
            let response = match (answer, translation) {
                (Ok(response), Some(mut translation)) => {
                    *translation = translation.asked(course.sent());
                    let translating = Box::new(Translating {
                        meter: Meter::of(&response).cloned(),
                        answer: translation.answer(response),
                        outcome,
                        cause,
                    });
                    let state = State::Translating { translating };
                    this.attempt.as_mut().project().state.set(state);
                    continue;
                }
                (answer, _) => finish(course, answer, &outcome, cause, settings)?,
            };
            return Poll::Ready(Ok(this.hand_on(response, cause)));
        }
    }
}

/// What the caller gets of the current target's answer.
fn finish<O, R, E>(
    course: &mut Course,
    answer: Result<Response<AnswerBody<R>>, E>,
    outcome: &Outcome,
    cause: Option<Cause>,
    settings: &Settings<O>,
) -> Answered<R, E>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    match (answer, cause) {
        (answer, Some(_)) => course.give_up(answer, outcome, settings),
        (Ok(response), None) => Ok(course.hand_on(response, outcome, settings)),
        (Err(error), None) => Err(error),
    }
}

fn not_ready<R>(course: Option<&Course>) -> Response<AnswerBody<R>> {
    let message = "no target was ready to take the call in time";
    ErrorAnswer::new(StatusCode::GATEWAY_TIMEOUT, "target_not_ready", message)
        .into_response(course.map(|course| course.call().dialect()))
}

impl<S, R, O, C, H, F> fmt::Debug for FallbackFuture<S, R, O, C, H, F>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture")
            .field("call", &self.course.as_ref().map(Course::call))
            .finish_non_exhaustive()
    }
}
