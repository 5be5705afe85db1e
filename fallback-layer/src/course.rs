//! The course of one call: which targets were left, which comes next, what the caller gets.

mod answer;
mod hedge;
mod onward;

pub(crate) use self::answer::OfTarget;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use self::{hedge::Other, onward::Onward};
use http::{HeaderName, Request, header};
use llm_exchange::{
    Call, KeptRequest, Meter, NoMoreAttempts, Payload, Verdict, ask_for_plain_text,
};
use tokio::time::Instant;

use crate::{
    Leaving, Left, OnFallback, Skipped, Why,
    hedge::PaceKey,
    hook,
    keys::{Keys, Origin, host_key},
    layer::Settings,
    leave::Outcome,
    memory::Memories,
    prospect::{Prospect, skip},
    rewrite,
    routes::{ChainId, Stop, TargetId},
    served::Label,
    target::Spec,
    translate::{self, Translation},
    walk::{Cause, Walk},
};

/// On the request, from the second attempt on: its number.
const ATTEMPT: HeaderName = HeaderName::from_static("x-llm-attempt");

/// What is known of one call, from its first target to its answer.
pub(crate) struct Course {
    call: Arc<Call>,
    /// The call as the current target is sent it, where that is another one.
    rewritten: Option<Arc<Call>>,
    /// The outermost of the layers that send calls again.
    outermost: bool,
    walk: Walk,
    target: TargetId,
    /// Where among those that were left the current target would be.
    place: usize,
    /// Whether any target was sent the call, and whether the current one was.
    sent_once: bool,
    sent_now: bool,
    /// The one that was sent it last.
    asked_last: Option<TargetId>,
    /// What its pace is remembered by.
    pace: Option<PaceKey>,
    /// The target that is asked beside it.
    other: Option<Box<Other>>,
    /// Whether one is that may not be sent the call after all: then the request is still needed.
    hedges: bool,
    /// Was slower than another one, and did not fail.
    outrun: Option<TargetId>,
    kept: Kept,
    left: Vec<Left>,
    /// When the first of the targets that were left wants to be asked again.
    asked_until: Option<Instant>,
    /// What makes the current target's answer the caller's, where it speaks another dialect. Boxed, as
    /// few do and all courses are moved.
    translation: Option<Box<Translation>>,
    /// Of an answer that may be gone on with.
    onward: Option<Box<Onward>>,
    /// The first of the call's chain.
    first: TargetId,
    /// Whether the current target's answer is handed on.
    served: bool,
}

/// What is kept of the call as the caller made it.
enum Kept {
    Nothing,
    Request(KeptRequest),
    /// No target can come after the current one.
    Origin(Origin),
}

impl Course {
    /// The course of a call on this chain, which [`set_out`](Self::set_out) begins.
    pub(crate) fn new<O>(call: Arc<Call>, chain: ChainId, settings: &Settings<O>) -> Self {
        Self {
            call,
            rewritten: None,
            outermost: false,
            walk: Walk::start(chain, &settings.routes),
            target: TargetId { chain, at: 0 },
            first: TargetId { chain, at: 0 },
            place: 0,
            sent_once: false,
            sent_now: false,
            asked_last: None,
            pace: None,
            other: None,
            hedges: false,
            outrun: None,
            kept: Kept::Nothing,
            left: Vec::new(),
            asked_until: None,
            translation: None,
            onward: None,
            served: false,
        }
    }

    /// Makes of the call's request the one to the first target. False: no target can be tried.
    pub(crate) fn set_out<O>(
        &mut self,
        request: &mut Request<Payload>,
        began: Instant,
        settings: &Settings<O>,
    ) -> bool {
        settings.counters.calls.fetch_add(1, Relaxed);
        let attempts = self.call.attempts();
        self.outermost = attempts.claim();
        attempts.limit_to(settings.max_attempts);
        // a deadline beyond the end of time is none
        let deadline = settings.deadline.and_then(|after| began.checked_add(after));
        if let Some(deadline) = deadline {
            attempts.end_by(deadline);
        }
        let first = self.next(request, Cause::Any, began, settings);
        if let Some(target) = first {
            self.turn_to(target, request, settings);
        }
        first.is_some()
    }

    /// The call as the caller made it.
    pub(crate) const fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// The call as the current target is sent it.
    pub(crate) fn sent(&self) -> &Arc<Call> {
        self.rewritten.as_ref().unwrap_or(&self.call)
    }

    /// What makes the current target's answer the caller's, if it needs that and is handed on: for this
    /// cause it is only if no target was left before.
    pub(crate) fn translation(&mut self, cause: Option<Cause>) -> Option<Box<Translation>> {
        let is_handed_on = cause.is_none() || self.left.is_empty();
        is_handed_on.then(|| self.translation.take()).flatten()
    }

    /// Whether the current target was sent another dialect than the caller's.
    pub(crate) const fn is_translated(&self) -> bool {
        self.translation.is_some()
    }

    /// The current target.
    pub(crate) fn stop<'s, O>(&self, settings: &'s Settings<O>) -> &'s Stop<O> {
        settings.routes.stop(self.target)
    }

    /// Whether anything can come after the current target.
    pub(crate) fn may_go_on<O>(&self, settings: &Settings<O>) -> bool {
        self.walk.may_go_on(&settings.routes)
    }

    /// Leaves the current target, and returns the request to the next one. `None`: there is none, or
    /// no attempt is left; then the current target is not left either.
    pub(crate) fn leave<O>(
        &mut self,
        outcome: &Outcome,
        meter: Option<Meter>,
        cause: Cause,
        settings: &Settings<O>,
        hook: &impl OnFallback,
    ) -> Option<Request<Payload>> {
        let attempts = self.call.attempts();
        if !attempts.may_go_on() || self.stays(settings) {
            return None;
        }
        let attempt = attempts.count().saturating_add(self.sent_once.into());
        let now = Instant::now();
        let mut request = self.as_asked()?;
        let keys = self.keys(&request, settings);
        let target = self.next(&mut request, cause, now, settings)?;
        let before = self.label(settings);
        self.note(outcome, keys, now, settings);
        self.leave_behind(outcome.verdict, meter);
        self.turn_to(target, &request, settings);
        let next = self.label(settings);
        let leaving = Leaving {
            target: before.as_str(),
            verdict: outcome.verdict,
            next: next.as_str(),
            attempt,
        };
        hook::leaving(hook, &leaving);
        Some(request)
    }

    /// Takes the attempt that is sent now from the call's allowance, and marks its request. Who
    /// reserves for the call is waited for.
    pub(crate) fn poll_attempt(
        &mut self,
        request: &mut Request<Payload>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NoMoreAttempts>> {
        let (attempts, model) = (self.call.attempts(), self.sent().model());
        // the first one is free
        if self.sent_once {
            let beside = self.model_beside();
            let running = [model, beside.flatten()];
            let many = 1 + usize::from(beside.is_some());
            let number = ready!(attempts.poll_again(&running[..many], cx))?;
            request.headers_mut().insert(ATTEMPT, number.into());
        } else if self.rewritten.is_some() {
            ready!(attempts.poll_instead(model, cx))?;
        }
        if self.sent_once || self.rewritten.is_some() {
            attempts.asks(self.sent());
        }
        self.sent_once = true;
        self.sent_now = true;
        self.asked_last = Some(self.target);
        Poll::Ready(Ok(()))
    }

    /// The next target that can be tried. Of `request`, as the caller made it, becomes the one to it.
    fn next<O>(
        &mut self,
        request: &mut Request<Payload>,
        mut cause: Cause,
        now: Instant,
        settings: &Settings<O>,
    ) -> Option<TargetId> {
        let routes = &*settings.routes;
        loop {
            let mut prospect = Prospect {
                call: &self.call,
                request,
                settings,
                now,
                left: &mut self.left,
            };
            let target = self
                .walk
                .next(routes, self.call.model(), cause, &mut prospect)?;
            self.keep(request, settings);
            let stop = routes.stop(target);
            match self.make(request, &stop.spec) {
                Ok(()) => return Some(target),
                Err((why, what)) => skip(stop, &self.call, why, what, &mut self.left),
            }
            *request = self.as_asked()?;
            cause = Cause::Any;
        }
    }

    /// Makes of the request as the caller made it the one to this target.
    ///
    /// # Errors
    ///
    /// Why it can't be, and what of the call cannot be carried over, if it is that.
    fn make(
        &mut self,
        request: &mut Request<Payload>,
        spec: &Spec,
    ) -> Result<(), (Skipped, Option<Box<str>>)> {
        let translation = translate::begin(request, spec)
            .map_err(|what| (Skipped::Untranslatable, Some(what.into())))?;
        rewrite::rewrite(request, self.call.model(), spec)
            .map_err(|why| (Skipped::NotRewritten(why), None))?;
        if let Some(onward) = &mut self.onward {
            onward.make(request, spec).map_err(|why| (why, None))?;
        }
        // where no further target can be made one, the current one's answer still needs its own
        self.translation = translation;
        Ok(())
    }

    /// Keeps the request for as long as a further target may be sent it.
    fn keep<O>(&mut self, request: &mut Request<Payload>, settings: &Settings<O>) {
        let goes_on =
            self.walk.may_go_on(&settings.routes) || self.may_fail_over(settings) || self.hedges;
        let mut names_encoding = true;
        if let (Kept::Nothing, true) = (&self.kept, goes_on) {
            names_encoding = false;
            let kept = KeptRequest::keep_seeing(request, |name, _| {
                names_encoding |= name == header::ACCEPT_ENCODING;
            });
            self.kept = kept.map_or(Kept::Nothing, Kept::Request);
        }
        if !goes_on || matches!(self.kept, Kept::Nothing) {
            let memories = settings.memories.as_ref();
            let origin = memories.map(|memories| Origin::of(request, memories));
            self.kept = Kept::Origin(origin.unwrap_or_default());
        }
        if names_encoding {
            ask_for_plain_text(request.headers_mut());
        }
    }

    /// The request as the caller made it. `None`: no further target may be sent it.
    fn as_asked(&self) -> Option<Request<Payload>> {
        match &self.kept {
            Kept::Request(kept) => kept.request(),
            Kept::Nothing | Kept::Origin(_) => None,
        }
    }

    fn turn_to<O>(&mut self, to: TargetId, request: &Request<Payload>, settings: &Settings<O>) {
        self.target = to;
        self.place = self.left.len();
        self.sent_now = false;
        self.pace = self.pace(request, settings);
        let changes = self.stop(settings).spec.changes(self.call.model());
        self.rewritten = if changes {
            Call::of(request).cloned()
        } else {
            None
        };
    }

    fn label<O>(&self, settings: &Settings<O>) -> Label {
        self.stop(settings).label(&self.call)
    }

    /// What the failures of the current target are remembered by.
    fn keys<O>(&self, request: &Request<Payload>, settings: &Settings<O>) -> Option<Keys> {
        let memories = settings.memories.as_ref()?;
        let origin = Origin::of(request, memories);
        Some(Keys::of(memories, self.stop(settings), &self.call, origin))
    }

    /// The same, when the request as the caller made it is not at hand.
    fn keys_of_kept<O>(&self, settings: &Settings<O>) -> Option<Keys> {
        let memories = settings.memories.as_ref()?;
        match &self.kept {
            Kept::Nothing => None,
            Kept::Request(kept) => self.keys(&kept.request()?, settings),
            Kept::Origin(origin) => {
                let stop = self.stop(settings);
                Some(Keys::of(memories, stop, &self.call, *origin))
            }
        }
    }

    fn host_key<O>(&self, memories: &Memories, settings: &Settings<O>) -> u64 {
        host_key(memories, self.stop(settings), &self.call, || {
            match &self.kept {
                Kept::Nothing => 0,
                Kept::Request(kept) => memories.hash(kept.authority()),
                Kept::Origin(origin) => origin.host,
            }
        })
    }

    /// Keeps what the current target used, for whoever keeps books further out.
    pub(crate) fn leave_behind(&self, verdict: Verdict, meter: Option<Meter>) {
        // one that was never ready, or refused further in, spent nothing
        if self.sent_now && verdict != Verdict::Refused {
            let attempts = self.call.attempts();
            attempts.leave_behind(self.sent(), verdict, meter);
        }
    }

    /// Notes what came of the current target.
    fn note<O>(
        &mut self,
        outcome: &Outcome,
        keys: Option<Keys>,
        now: Instant,
        settings: &Settings<O>,
    ) {
        let target = self.label(settings);
        if let (Some(memories), Some(key)) = (
            &settings.memories,
            keys.filter(|_| outcome.is_remembered())
                .and_then(|keys| keys.about(outcome.verdict)),
        ) {
            memories.failed(key, target.as_str(), outcome.verdict, now);
        }
        let until = outcome.asked.and_then(|delay| now.checked_add(delay));
        let earliest = [self.asked_until, until].into_iter().flatten().min();
        self.asked_until = earliest;
        let left = Left {
            target,
            why: Why::Outcome(outcome.verdict),
            status: outcome.status,
            untranslatable: None,
        };
        self.insert(left);
    }

    fn insert(&mut self, left: Left) {
        if let Some(other) = self
            .other
            .as_mut()
            .filter(|other| other.place >= self.place)
        {
            other.place += 1;
        }
        self.left.insert(self.place, left);
    }
}
