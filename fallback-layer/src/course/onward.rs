//! Going on from the middle of an answer.

use std::{
    mem,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
};

use http::Request;
use llm_exchange::{Call, Meter, Payload, Verdict};
use tokio::time::Instant;

use super::Course;
use crate::{
    Leaving, OnFallback, Skipped,
    failover::{Beginning, Prefill},
    hook,
    layer::Settings,
    served::{Label, WentOn},
    target::Spec,
    walk::Cause,
};

/// What is known of an answer that may be gone on with.
#[derive(Default)]
pub(super) struct Onward {
    /// What further attempts go on from, once it broke off.
    beginning: Option<Beginning>,
    /// How the current target is asked to.
    prefill: Option<Prefill>,
    /// Who went on.
    went_on: WentOn,
}

impl Onward {
    pub(super) const fn is_begun(&self) -> bool {
        self.beginning.is_some()
    }

    pub(super) fn make(
        &mut self,
        request: &mut Request<Payload>,
        spec: &Spec,
    ) -> Result<(), Skipped> {
        if let Some(beginning) = &self.beginning {
            self.prefill = Some(beginning.go_on(request, spec)?);
        }
        Ok(())
    }
}

impl Course {
    /// Whether a stream of this call may be gone on with, so that its request is kept.
    pub(super) fn may_fail_over<O>(&self, settings: &Settings<O>) -> bool {
        let chain = self.target.chain;
        settings.failover.is_some()
            && self.call.is_stream()
            && settings.routes.way(chain).fails_over
    }

    /// Makes room for who goes on, where one may.
    pub(super) fn begin_onward<O>(&mut self, settings: &Settings<O>) {
        if self.onward.is_none() && self.may_fail_over(settings) {
            self.onward = Some(Box::default());
        }
    }

    /// Notes that the current target goes on.
    pub(crate) fn note_went_on<O>(&self, settings: &Settings<O>) {
        let target = self.label(settings);
        if let Some(onward) = &self.onward {
            let mut labels = onward
                .went_on
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            labels.push(target);
        }
    }

    /// Who went on, as that comes.
    pub(super) fn went_on(&self) -> Option<WentOn> {
        self.onward
            .as_ref()
            .map(|onward| Arc::clone(&onward.went_on))
    }

    /// Whether the answer of the current target, which is handed on, may be gone on with.
    pub(crate) fn may_be_joined<O>(&self, settings: &Settings<O>) -> bool {
        self.served && self.may_fail_over(settings) && self.as_asked().is_some()
    }

    /// Whether further attempts go on from what the caller has.
    pub(crate) fn is_onward(&self) -> bool {
        self.onward.as_ref().is_some_and(|onward| onward.is_begun())
    }

    /// Whether no other target may go on.
    pub(super) fn stays<O>(&self, settings: &Settings<O>) -> bool {
        self.is_onward() && settings.failover.is_some_and(|how| how.same_target_only)
    }

    /// The answer that goes on, if it is one: what is asked, of whom, and whether it may begin with
    /// what it goes on from.
    pub(crate) fn take_served<O>(
        &mut self,
        settings: &Settings<O>,
    ) -> Option<(Arc<Call>, Label, bool)> {
        let echoes = self
            .onward
            .as_ref()
            .is_some_and(|onward| onward.prefill == Some(Prefill::PrefixMember));
        mem::take(&mut self.served).then(|| (Arc::clone(self.sent()), self.label(settings), echoes))
    }

    /// Leaves the current target, whose answer broke off, and returns the request that goes on from
    /// there. `None`: it can't be gone on with, and nothing was left.
    pub(crate) fn go_on<O>(
        &mut self,
        beginning: Beginning,
        verdict: Verdict,
        meter: Meter,
        settings: &Settings<O>,
        hook: &impl OnFallback,
    ) -> Option<Request<Payload>> {
        let attempts = self.call.attempts().clone();
        let failover = settings.failover?;
        let mut request = self.as_asked()?;
        if !attempts.may_go_on() || !self.may_fail_over(settings) {
            return None;
        }
        let spec = &settings.routes.stop(self.target).spec;
        let mut same = self.as_asked()?;
        // as the caller made it, and as it was sent: the app may have put more on it
        let check = |request: &_| {
            let checked = beginning.check(request);
            checked.inspect_err(|why| tracing::debug!(why, "a stream is not gone on with"))
        };
        check(&request).ok()?;
        self.onward.as_mut()?.beginning = None;
        self.make(&mut same, spec).ok()?;
        check(&same).ok()?;
        self.onward.as_mut()?.beginning = Some(beginning);
        self.served = false;
        self.left.clear();
        if let Some(target) = self.outrun.take() {
            self.walk.give_back(target);
        }
        // who says that it has no room is asked elsewhere; else the same model is the best one
        let is_full = matches!(
            verdict,
            Verdict::Overloaded | Verdict::Throttled | Verdict::QuotaExhausted
        );
        let before = self.label(settings);
        let can = !is_full && self.onward.as_mut()?.make(&mut same, spec).is_ok();
        let (target, request) = match can {
            true => (self.target, same),
            false => {
                let now = Instant::now();
                let others = !failover.same_target_only;
                let next = others.then(|| self.next(&mut request, Cause::Any, now, settings));
                let Some(target) = next.flatten() else {
                    self.onward.as_mut()?.beginning = None;
                    return None;
                };
                (target, request)
            }
        };
        self.leave_behind(verdict, Some(meter));
        self.turn_to(target, &request, settings);
        settings.counters.failed_over.fetch_add(1, Relaxed);
        let next = self.label(settings);
        let leaving = Leaving {
            target: before.as_str(),
            verdict,
            next: next.as_str(),
            attempt: attempts.count().saturating_add(1),
        };
        hook::failing_over(hook, &leaving);
        Some(request)
    }
}
