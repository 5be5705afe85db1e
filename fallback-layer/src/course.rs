//! The course of one call: which targets were left, which comes next, what the caller gets.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, Meter, NotRewritten, Payload, Refusal, Verdict, Watch,
    ask_for_plain_text,
};
use tokio::time::Instant;

use crate::{
    FallbackBody, Leaving, Left, OnFallback, Served, Skipped, Why, all_failed,
    body::Remember,
    hook,
    keys::{Origin, keys},
    layer::Settings,
    leave::{Outcome, is_remembered},
    memory::{Keys, Memories},
    prospect::{Prospect, skip},
    rewrite,
    routes::{ChainId, Stop, TargetId},
    served::Label,
    walk::{Cause, Walk},
};

/// On the answer: the model that served it.
const MODEL: HeaderName = HeaderName::from_static("x-llm-model");
/// On the answer: how often the call was sent, where that was more than once.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-llm-attempts");
/// On the answer when the outermost layer gave up; OpenAI's and Anthropic's SDKs obey it.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

pub(crate) struct Course {
    call: Arc<Call>,
    /// The call as the current target is sent it.
    sent: Arc<Call>,
    /// The outermost of the layers that send calls again.
    outermost: bool,
    rewritable: Result<(), NotRewritten>,
    walk: Walk,
    target: TargetId,
    /// Where among those that were left the current target would be.
    place: usize,
    kept: Kept,
    left: Vec<Left>,
    /// When the first of the targets that were left wants to be asked again.
    asked_until: Option<Instant>,
}

/// What is kept of the call as the caller made it.
enum Kept {
    Request(Request<Payload>),
    /// No target can come after the current one.
    Origin(Origin),
}

impl Kept {
    fn origin(&self, memories: &Memories) -> Origin {
        match self {
            Self::Request(request) => Origin::of(request, memories),
            Self::Origin(origin) => *origin,
        }
    }

    /// Where the call was going, as long as that matters.
    fn host(&self) -> Option<&str> {
        match self {
            Self::Request(request) => request.uri().host(),
            Self::Origin(_) => None,
        }
    }
}

impl Course {
    /// Sets a call out on this chain, with its first request.
    ///
    /// # Errors
    ///
    /// No target can be tried: the answer.
    pub(crate) fn begin<O, R>(
        mut request: Request<Payload>,
        call: Arc<Call>,
        chain: ChainId,
        began: Instant,
        settings: &Settings<O>,
    ) -> Result<(Self, Request<Payload>), Box<Response<AnswerBody<R>>>> {
        settings.counters.calls.fetch_add(1, Relaxed);
        ask_for_plain_text(request.headers_mut());
        let attempts = call.attempts();
        let outermost = attempts.claim();
        attempts.limit_to(settings.max_attempts);
        // a deadline beyond the end of time is none
        let deadline = settings.deadline.and_then(|after| began.checked_add(after));
        if let Some(deadline) = deadline {
            attempts.end_by(deadline);
        }
        let mut course = Self {
            sent: Arc::clone(&call),
            call,
            outermost,
            rewritable: Call::can_be_rewritten(&request),
            walk: Walk::start(chain, &settings.routes),
            target: TargetId { chain, at: 0 },
            place: 0,
            kept: Kept::Request(request),
            left: Vec::new(),
            asked_until: None,
        };
        match course.next(Cause::Any, began, settings) {
            Some((target, request)) => {
                course.turn_to(target, &request);
                Ok((course, request))
            }
            None => Err(Box::new(course.nobody(settings))),
        }
    }

    /// The call as the caller made it.
    pub(crate) const fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// The call as the current target is sent it.
    pub(crate) const fn sent(&self) -> &Arc<Call> {
        &self.sent
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
        let now = Instant::now();
        let keys = self.keys(settings);
        let (target, mut request) = self.next(cause, now, settings)?;
        let attempt = self.call.attempts().again().ok()?;
        let before = self.label(settings);
        self.note(outcome, keys, now, settings);
        self.leave_behind(outcome.verdict, meter);
        self.turn_to(target, &request);
        let next = self.label(settings);
        let leaving = Leaving {
            target: before.as_str(),
            verdict: outcome.verdict,
            next: next.as_str(),
            attempt,
        };
        hook::leaving(hook, &leaving);
        rewrite::number(&mut request, attempt);
        Some(request)
    }

    /// The next target that can be tried, and the request to it.
    fn next<O>(
        &mut self,
        mut cause: Cause,
        now: Instant,
        settings: &Settings<O>,
    ) -> Option<(TargetId, Request<Payload>)> {
        let routes = &*settings.routes;
        loop {
            let mut prospect = Prospect {
                call: &self.call,
                origin: |memories: &Memories| self.kept.origin(memories),
                host: self.kept.host(),
                rewritable: self.rewritable,
                settings,
                now,
                left: &mut self.left,
            };
            let target = self
                .walk
                .next(routes, self.call.model(), cause, &mut prospect)?;
            let stop = routes.stop(target);
            let mut request = match &self.kept {
                Kept::Request(request) if self.walk.may_go_on(routes) => rewrite::copy(request)?,
                kept => {
                    let memories = settings.memories.as_ref();
                    let origin = memories.map(|memories| kept.origin(memories));
                    let last = Kept::Origin(origin.unwrap_or_default());
                    let Kept::Request(request) = mem::replace(&mut self.kept, last) else {
                        return None;
                    };
                    request
                }
            };
            match rewrite::rewrite(&mut request, &stop.spec) {
                Ok(()) => return Some((target, request)),
                Err(why) => {
                    let why = Skipped::NotRewritten(why);
                    skip(stop, &self.call, why, &mut self.left);
                }
            }
            cause = Cause::Any;
        }
    }

    fn turn_to(&mut self, target: TargetId, request: &Request<Payload>) {
        self.target = target;
        self.place = self.left.len();
        self.sent = Arc::clone(Call::of(request).unwrap_or(&self.call));
    }

    fn label<O>(&self, settings: &Settings<O>) -> Label {
        self.stop(settings).label(&self.call)
    }

    fn keys<O>(&self, settings: &Settings<O>) -> Option<Keys> {
        let memories = settings.memories.as_ref()?;
        let origin = self.kept.origin(memories);
        Some(keys(memories, self.stop(settings), &self.call, origin))
    }

    /// Keeps what the current target used, for whoever keeps books further out.
    fn leave_behind(&self, verdict: Verdict, meter: Option<Meter>) {
        // a call that was refused further in was not sent
        if verdict != Verdict::Refused {
            let attempts = self.call.attempts();
            attempts.leave_behind(self.sent.model(), verdict, meter);
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
        if let (Some(memories), Some(keys)) = (&settings.memories, keys)
            && is_remembered(outcome)
        {
            memories.failed(keys, target.as_str(), outcome.verdict, now);
        }
        let until = outcome.asked.and_then(|delay| now.checked_add(delay));
        let earliest = [self.asked_until, until].into_iter().flatten().min();
        self.asked_until = earliest;
        let left = Left {
            target,
            why: Why::Outcome(outcome.verdict),
            status: outcome.status,
        };
        self.left.insert(self.place, left);
    }

    /// The answer of the current target, as the caller gets it.
    pub(crate) fn hand_on<O, R>(
        self,
        response: Response<AnswerBody<R>>,
        outcome: &Outcome,
        settings: &Settings<O>,
    ) -> Response<FallbackBody<R>>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let mut remember = None;
        if outcome.verdict == Verdict::Ok {
            if !self.left.is_empty() {
                settings.counters.fell_back.fetch_add(1, Relaxed);
            }
            if let Some(memories) = &settings.memories {
                let stop = self.stop(settings);
                let keys = || keys(memories, stop, &self.call, self.kept.origin(memories));
                // what is here already cannot break any more
                if response.body().is_here() {
                    memories.answered(keys, Instant::now());
                } else {
                    remember = Some(Remember {
                        memories: Arc::clone(memories),
                        keys: keys(),
                        target: stop.label(&self.call),
                        meter: Meter::of(&response).cloned(),
                    });
                }
            }
        }
        self.mark(response, true, settings)
            .map(|body| Watch::new(body, remember))
    }

    /// The answer when the current target is left and none comes after it: its own if there was no
    /// other, else one that names them all.
    pub(crate) fn give_up<O, R, E>(
        mut self,
        answer: Result<Response<AnswerBody<R>>, E>,
        outcome: &Outcome,
        settings: &Settings<O>,
    ) -> Result<Response<FallbackBody<R>>, E>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let keys = self.keys(settings);
        self.note(outcome, keys, Instant::now(), settings);
        let response = match answer {
            answer if self.left.len() == 1 => {
                self.count_all_failed(settings);
                let outermost = self.outermost;
                let mut response = self.mark(answer?, true, settings);
                say_not_again(&mut response, outermost);
                response
            }
            answer => {
                let meter = answer.ok().and_then(|answer| Meter::of(&answer).cloned());
                self.leave_behind(outcome.verdict, meter);
                self.nobody(settings)
            }
        };
        Ok(response.map(|body| Watch::new(body, None)))
    }

    /// The layer's own answer when no target served the call.
    fn nobody<O, R>(self, settings: &Settings<O>) -> Response<AnswerBody<R>> {
        self.count_all_failed(settings);
        let answer = all_failed::answer(&self.left, self.asked_until, Instant::now());
        let dialect = Some(self.call.dialect());
        let tried = |left: &Left| matches!(left.why, Why::Outcome(_));
        let response = if self.left.iter().any(tried) {
            answer.into_response(dialect)
        } else {
            Refusal::new("fallback-layer", answer).into_response(dialect)
        };
        let outermost = self.outermost;
        let mut response = self.mark(response, false, settings);
        say_not_again(&mut response, outermost);
        response
    }

    fn count_all_failed<O>(&self, settings: &Settings<O>) {
        settings.counters.all_failed.fetch_add(1, Relaxed);
        hook::all_failed(&self.left);
    }

    /// Says in an answer who served the call, if it is the current target's.
    fn mark<O, R>(
        self,
        mut response: Response<AnswerBody<R>>,
        served: bool,
        settings: &Settings<O>,
    ) -> Response<AnswerBody<R>> {
        let attempts = self.call.attempts().count();
        let headers = response.headers_mut();
        if served && let Some(model) = self.stop(settings).model_header(&self.call) {
            headers.insert(MODEL, model);
        }
        if attempts > 1 {
            headers.insert(ATTEMPTS, attempts.into());
        }
        response.extensions_mut().insert(Served {
            by: served.then(|| self.label(settings)),
            call: self.call,
            attempts,
            left: self.left,
        });
        response
    }
}

fn say_not_again<B>(response: &mut Response<B>, outermost: bool) {
    if outermost {
        response
            .headers_mut()
            .insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}
