//! A call of which two targets are asked at once.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use http::Request;
use llm_exchange::{Call, Cut, Meter, Payload, Verdict};
use tokio::time::Instant;

use super::Course;
use crate::{
    Leaving, Left, OnFallback, Why,
    hedge::{PaceKey, Share, When, is_stateless},
    hook,
    layer::Settings,
    leave::Outcome,
    routes::TargetId,
    translate::Translation,
    walk::Cause,
};

/// What is known of the target that is asked beside the current one.
pub(super) struct Other {
    rewritten: Option<Arc<Call>>,
    target: TargetId,
    pub(super) place: usize,
    sent_now: bool,
    pace: Option<PaceKey>,
    translation: Option<Box<Translation>>,
}

impl Course {
    /// Lets the other target be the current one, and the current the other.
    pub(crate) fn swap(&mut self) {
        if let Some(other) = &mut self.other {
            mem::swap(&mut other.rewritten, &mut self.rewritten);
            mem::swap(&mut other.target, &mut self.target);
            mem::swap(&mut other.place, &mut self.place);
            mem::swap(&mut other.sent_now, &mut self.sent_now);
            mem::swap(&mut other.pace, &mut self.pace);
            mem::swap(&mut other.translation, &mut self.translation);
        }
    }

    /// When another target is asked, if the current one is silent until then. Counts the call.
    pub(crate) fn hedge_at<O>(&self, began: Instant, settings: &Settings<O>) -> Option<Instant> {
        let when = self.when(settings)?;
        let share = self.share(settings);
        if share.percent == 0 {
            return None;
        }
        settings.hedges.call(share);
        if !self.may_go_on(settings) {
            return None;
        }
        let limit = settings.hedges.limit(when, self.pace?)?;
        began.checked_add(limit)
    }

    fn share<O>(&self, settings: &Settings<O>) -> Share {
        let chain = self.target.chain;
        match settings.routes.way(chain).hedge_share {
            Some(percent) => Share {
                percent,
                of: Some(chain),
            },
            None => Share {
                percent: settings.hedge_share,
                of: None,
            },
        }
    }

    fn when<O>(&self, settings: &Settings<O>) -> Option<When> {
        let own = settings.routes.way(self.target.chain).hedge;
        own.unwrap_or(settings.hedge)
    }

    /// What the pace of the current target is remembered by, where that is of use.
    pub(super) fn pace<O>(
        &self,
        request: &Request<Payload>,
        settings: &Settings<O>,
    ) -> Option<PaceKey> {
        self.when(settings)?;
        let authority = request
            .uri()
            .authority()
            .map(|authority| authority.as_str());
        let stop = self.stop(settings);
        let own = stop.own.as_ref().map(|_| stop.id);
        let model = stop.spec.model_for(self.call.model());
        let key = (authority, model, own, self.call.is_stream());
        Some(settings.hedges.key(key))
    }

    /// The request to another target, which becomes the other one. `None`: none is asked.
    pub(crate) fn hedge<O>(&mut self, settings: &Settings<O>) -> Option<Request<Payload>> {
        let mut request = self.as_asked()?;
        let share = self.share(settings);
        let current = self.translation.take();
        let may = self.call.attempts().may_go_on() && self.is_sent_stateless(settings);
        let target = if may && settings.hedges.take(share) {
            self.hedges = true;
            let target = self.next(&mut request, Cause::Any, Instant::now(), settings);
            self.hedges = false;
            let stateless = target.filter(|_| is_stateless(&request));
            if stateless.is_none() {
                settings.hedges.give_back(share);
                target
                    .into_iter()
                    .for_each(|target| self.walk.give_back(target));
            }
            stateless
        } else {
            None
        };
        let translation = mem::replace(&mut self.translation, current);
        let target = target?;
        self.other = Some(Box::new(Other {
            rewritten: None,
            target,
            place: self.left.len(),
            sent_now: false,
            pace: None,
            translation,
        }));
        self.swap();
        self.turn_to(target, &request, settings);
        self.swap();
        Some(request)
    }

    /// Whether the call may be made twice, as its caller made it and as the current target is sent it.
    fn is_sent_stateless<O>(&mut self, settings: &Settings<O>) -> bool {
        let spec = &settings.routes.stop(self.target).spec;
        self.as_asked().is_some_and(|mut request| {
            is_stateless(&request)
                && self.make(&mut request, spec).is_ok()
                && is_stateless(&request)
        })
    }

    /// The current target, which is asked second, was sent the call.
    pub(crate) fn hedged<O>(&mut self, settings: &Settings<O>) {
        settings.counters.hedged.fetch_add(1, Relaxed);
        let next = self.label(settings);
        self.swap();
        hook::hedged(self.label(settings).as_str(), next.as_str());
        self.swap();
    }

    /// The current target, which was to be asked second, was not sent the call. It is not asked at the
    /// same time, but may be when its turn comes.
    pub(crate) fn call_off<O>(&mut self, settings: &Settings<O>) {
        self.is_no_hedge(settings);
        self.walk.give_back(self.target);
    }

    /// The current target is not asked beside another one after all.
    pub(crate) fn is_no_hedge<O>(&self, settings: &Settings<O>) {
        settings.hedges.give_back(self.share(settings));
    }

    /// The model that the other target was asked for, if it was sent the call.
    pub(super) fn model_beside(&self) -> Option<Option<&str>> {
        let other = self.other.as_ref().filter(|other| other.sent_now)?;
        Some(other.rewritten.as_ref().unwrap_or(&self.call).model())
    }

    /// Whether the current target was sent the call.
    pub(crate) const fn was_sent(&self) -> bool {
        self.sent_now
    }

    /// The current target has failed while the other one is asked.
    pub(crate) fn leave_for_the_other<O>(
        &mut self,
        outcome: &Outcome,
        meter: Option<Meter>,
        settings: &Settings<O>,
        hook: &impl OnFallback,
    ) {
        let request = self.as_asked();
        let keys = request.and_then(|request| self.keys(&request, settings));
        let keys = keys.or_else(|| self.keys_of_kept(settings));
        self.note(outcome, keys, Instant::now(), settings);
        self.leave_behind(outcome.verdict, meter);
        self.sent_now = false;
        let before = self.label(settings);
        self.swap();
        if self.sent_now {
            // it alone is asked now, whoever was last
            self.call.attempts().asks(self.sent());
            self.asked_last = Some(self.target);
        }
        let next = self.label(settings);
        self.swap();
        let leaving = Leaving {
            target: before.as_str(),
            verdict: outcome.verdict,
            next: next.as_str(),
            attempt: self.call.attempts().count(),
        };
        hook::leaving(hook, &leaving);
    }

    /// The other target was faster than the current one, which is not waited for any longer.
    pub(crate) fn lose<O>(&mut self, meter: Option<Meter>, settings: &Settings<O>) {
        if !self.sent_now {
            return;
        }
        self.outrun = Some(self.target);
        if let Some(meter) = &meter {
            meter.cut(Cut::Outrun);
        }
        self.leave_behind(Verdict::Outrun, meter);
        self.sent_now = false;
        let left = Left {
            target: self.label(settings),
            why: Why::Outrun,
            status: None,
            untranslatable: None,
        };
        self.insert(left);
    }

    /// The caller goes away while the current target is asked. Whoever keeps books knows of the
    /// attempt that was sent last; of another one that runs only what is left behind.
    pub(crate) fn abandon(&self, meter: Option<Meter>) {
        if self.asked_last != Some(self.target) {
            self.leave_behind(Verdict::CallerGone, meter);
        }
    }

    /// The current target, which was asked second, answered first.
    pub(crate) fn won<O>(&self, settings: &Settings<O>) {
        settings.counters.hedges_won.fetch_add(1, Relaxed);
    }

    /// The current target, which was asked first, is not waited for any longer: it takes no less than
    /// this. Of the second that says nothing, as it was asked later than the one that outran it.
    pub(crate) fn learn_at_least<O>(&self, began: Instant, settings: &Settings<O>) {
        if let Some(key) = self.pace {
            settings.hedges.learn(key, began.elapsed());
        }
    }

    /// The current target's first content has come.
    pub(crate) fn learn<O>(&self, outcome: &Outcome, began: Instant, settings: &Settings<O>) {
        if let (Some(key), Verdict::Ok) = (self.pace, outcome.verdict) {
            settings.hedges.learn(key, began.elapsed());
        }
    }
}
