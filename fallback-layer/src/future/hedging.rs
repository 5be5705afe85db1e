//! A second target is asked while the first one is silent; the first content wins.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Classify, Cut, Payload, Verdict};
use tokio::time::Instant;
use tower_service::Service;

use super::{
    Projected,
    attempt::{Attempt, State, Timer, run_out},
};
use crate::{
    OnFallback, Own,
    came::{Answer, Came},
    course::Course,
    shared::Shared,
};

/// Whether a second target is asked, and the attempt there.
pub(super) enum Hedge<S, R, O>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    /// None is, or none any more.
    Off,
    /// One is, when this moment comes. Boxed, as this is moved with every call.
    At(Box<(Instant, Timer)>),
    /// Both run. Boxed, as few calls come to it.
    Both(Pin<Box<Attempt<S, R, O>>>),
    /// The first one failed: the second runs alone.
    Alone(Pin<Box<Attempt<S, R, O>>>),
}

impl<S, R, O, C, H, F> Projected<'_, S, R, O, C, H, F>
where
    S: Service<Request<Payload>>,
    O: Own<S>,
{
    /// The caller goes away: no target that runs is lost to whoever keeps books.
    pub(super) fn abandon(&mut self) {
        let Some(course) = self.course.as_mut() else {
            return;
        };
        if let Hedge::Both(attempt) = &mut *self.hedge {
            course.abandon(self.attempt.as_mut().meter());
            course.swap();
            if course.was_sent() {
                course.abandon(attempt.as_mut().meter());
            } else {
                course.is_no_hedge(&self.shared.settings);
            }
            course.swap();
        } else if course.is_onward() && self.attempt.as_mut().runs() {
            // the answer that the caller has is another one's
            course.leave_behind(Verdict::CallerGone, self.attempt.as_mut().meter());
        }
    }
}

impl<S, R, O, C, H, F> Projected<'_, S, R, O, C, H, F>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
    C: Classify<S::Error>,
    H: OnFallback,
{
    /// Drives what runs until there is an answer, or nothing left to wait for. Then the current target
    /// is the one that it came of, and no other runs.
    pub(super) fn poll_targets(&mut self, cx: &mut Context<'_>) -> Poll<Came<R, S::Error>> {
        let Some(course) = self.course.as_mut() else {
            return Poll::Pending;
        };
        loop {
            if !matches!(self.hedge, Hedge::Alone(_))
                && let Poll::Ready(came) = self.attempt.as_mut().poll(self.shared, course, cx)
            {
                let Hedge::Both(_) = self.hedge else {
                    // it is over before another one was asked
                    *self.hedge = Hedge::Off;
                    return Poll::Ready(came);
                };
                if self.shared.settings.rules.cause(&came.outcome).is_none() {
                    self.drop_hedge();
                    return Poll::Ready(came);
                }
                self.shared.leave_for_the_other(course, came);
                self.attempt.as_mut().project().state.set(State::Done);
                if let Hedge::Both(attempt) = mem::replace(self.hedge, Hedge::Off) {
                    course.swap();
                    if !course.was_sent() {
                        course.is_no_hedge(&self.shared.settings);
                    }
                    *self.hedge = Hedge::Alone(attempt);
                }
            }
            match self.hedge {
                Hedge::Off => return Poll::Pending,
                Hedge::At(at) => {
                    let (at, timer) = &mut **at;
                    ready!(run_out(timer, Some(*at), cx));
                    *self.hedge = Hedge::Off;
                    let Some(request) = course.hedge(&self.shared.settings) else {
                        return Poll::Pending;
                    };
                    course.swap();
                    let own = self.shared.own(Some(&*course));
                    course.swap();
                    let inner = self.attempt.inner.clone();
                    let mut attempt = Box::pin(Attempt::new(State::Readying, inner));
                    attempt.as_mut().begin(request, own);
                    *self.hedge = Hedge::Both(attempt);
                }
                Hedge::Alone(attempt) => {
                    return attempt.as_mut().poll(self.shared, course, cx);
                }
                Hedge::Both(attempt) => {
                    course.swap();
                    let was_sent = course.was_sent();
                    let came = attempt.as_mut().poll(self.shared, course, cx);
                    if course.was_sent() && !was_sent {
                        course.hedged(&self.shared.settings);
                    }
                    course.swap();
                    let Poll::Ready(came) = came else {
                        return Poll::Pending;
                    };
                    if came.outcome.verdict == Verdict::Ok {
                        let meter = self.attempt.as_mut().meter();
                        let settings = &self.shared.settings;
                        course.learn_at_least(self.attempt.turn.at, settings);
                        course.lose(meter, settings);
                        self.attempt.as_mut().project().state.set(State::Done);
                        course.swap();
                        course.won(&self.shared.settings);
                        if let Hedge::Both(attempt) = mem::replace(self.hedge, Hedge::Off) {
                            *self.hedge = Hedge::Alone(attempt);
                        }
                        return Poll::Ready(came);
                    }
                    // the first one is still waited for
                    course.swap();
                    if course.was_sent() {
                        self.shared.leave_for_the_other(course, came);
                    } else {
                        course.call_off(&self.shared.settings);
                    }
                    course.swap();
                    *self.hedge = Hedge::Off;
                }
            }
        }
    }

    /// The current target has answered first.
    fn drop_hedge(&mut self) {
        let hedge = mem::replace(self.hedge, Hedge::Off);
        if let (Hedge::Both(mut attempt), Some(course)) = (hedge, self.course.as_mut()) {
            course.swap();
            if course.was_sent() {
                course.lose(attempt.as_mut().meter(), &self.shared.settings);
            } else {
                course.call_off(&self.shared.settings);
            }
            course.swap();
        }
    }

    /// When the attempt that is driven now began.
    pub(super) fn began(&self) -> Instant {
        match &*self.hedge {
            Hedge::Alone(attempt) => attempt.turn.at,
            _ => self.attempt.turn.at,
        }
    }

    /// The current target is waited for, as nothing else can be tried. False: it was so already.
    pub(super) fn wait(&mut self) -> bool {
        let attempt = match self.hedge {
            Hedge::Alone(attempt) => attempt.as_mut(),
            _ => self.attempt.as_mut(),
        };
        let waits = !attempt.turn.patient;
        attempt.wait();
        waits
    }
}

impl<O, C, H> Shared<O, C, H> {
    /// When another target is asked of a call that sets out.
    pub(super) fn hedge<S, R>(&self, course: Option<&Course>, began: Instant) -> Hedge<S, R, O>
    where
        S: Service<Request<Payload>>,
        O: Own<S>,
    {
        let at = course.and_then(|course| course.hedge_at(began, &self.settings));
        at.map_or(Hedge::Off, |at| Hedge::At(Box::new((at, None))))
    }
}

impl<O, C, H: OnFallback> Shared<O, C, H> {
    /// The current target has failed while another one is asked already.
    fn leave_for_the_other<R, E>(&self, course: &mut Course, came: Came<R, E>) {
        let Came { outcome, answer } = came;
        let meter = answer.meter().cloned();
        if let Answer::Late(Some(meter)) = &answer {
            meter.cut(Cut::Clock);
        }
        drop(answer);
        course.leave_for_the_other(&outcome, meter, &self.settings, &self.hook);
    }
}
