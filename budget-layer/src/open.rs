//! A call that is admitted and not settled yet.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
};

use http::HeaderValue;
use llm_exchange::{BodyEnd, Call, Extend, LeftBehind, Meter, Observe, Purchase, Verdict};

use crate::{
    amount::Unit,
    budget::{Budget, Kept},
    learnt::Truth,
    plan::{Holds, Plan, largest},
    spent::Spent,
    store::{Claim, Reserved, Store},
    tell,
};

/// What a call has reserved, and of whom. It is settled exactly once, by its [`Guard`].
pub(crate) struct Open<S: Store> {
    pub(crate) budget: Arc<Budget<S>>,
    /// The call as it is sent from here.
    pub(crate) call: Arc<Call>,
    pub(crate) plan: Plan,
    /// The host that the call is for.
    pub(crate) host: Option<Box<str>>,
    /// The limit of each account, and what the call asked of it first.
    claims: Vec<(usize, Claim)>,
    /// Up to so many output tokens, by what its text is estimated at, a stream that its provider holds to
    /// a cap is not cut.
    told: u64,
    /// Attempts left behind before this layer saw the call are not its own.
    left_before: usize,
    /// The caller asked for the usage.
    pub(crate) asks_usage: bool,
    pub(crate) remaining: Option<HeaderValue>,
    pub(crate) warning: Option<HeaderValue>,
    state: Mutex<State<S>>,
}

struct State<S: Store> {
    /// `None`: it is settled, or there is no account.
    reservation: Option<S::Reservation>,
    /// Of each account.
    reserved: Vec<u64>,
    /// Output tokens of all choices that are reserved for.
    output: u64,
    stage: Stage,
    extending: Option<Extending<S>>,
    /// How often in a row more was refused to the stream.
    refusals: u32,
}

/// How far the call has come.
enum Stage {
    /// Nothing was sent.
    Reserved,
    /// Nothing was heard.
    Sent,
    Answered(Meter),
    /// There is no answer.
    Failed(Verdict),
    /// It was refused further in, or answered from a cache.
    NotMade,
    Settled,
}

struct Extending<S: Store> {
    future: S::Extend,
    claims: Vec<Claim>,
    /// Output tokens, at the least and at the most. `None`: it is for a further attempt.
    output: Option<(u64, u64)>,
}

/// What a stream may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Go on up to so many output tokens.
    UpTo(u64),
    /// It has come to the end of what is reserved, and there is no more.
    NoMore,
}

/// What is known when a call is admitted.
pub(crate) struct Admitted<S: Store> {
    pub(crate) budget: Arc<Budget<S>>,
    pub(crate) call: Arc<Call>,
    pub(crate) plan: Plan,
    pub(crate) host: Option<Box<str>>,
    pub(crate) claims: Vec<(usize, Claim)>,
    pub(crate) reservation: Option<S::Reservation>,
    pub(crate) reserved: Vec<u64>,
    /// Output tokens of each choice.
    pub(crate) each: u64,
    pub(crate) asks_usage: bool,
    pub(crate) remaining: Option<HeaderValue>,
    pub(crate) warning: Option<HeaderValue>,
}

/// Settles the call when it is dropped.
pub(crate) struct Guard<S: Store>(Arc<Open<S>>);

impl<S: Store> Guard<S> {
    pub(crate) fn new(admitted: Admitted<S>) -> Self {
        let attempts = admitted.call.attempts().clone();
        let output = admitted.plan.output(admitted.each);
        let open = Arc::new(Open {
            told: match admitted.plan.holds {
                Holds::Steps(_) => 0,
                // estimates are mostly within a quarter
                _ => output.saturating_add(output / 4).saturating_add(64),
            },
            left_before: attempts.left_behind().len(),
            state: Mutex::new(State {
                reservation: admitted.reservation,
                reserved: admitted.reserved,
                output,
                stage: Stage::Reserved,
                extending: None,
                refusals: 0,
            }),
            budget: admitted.budget,
            call: admitted.call,
            plan: admitted.plan,
            host: admitted.host,
            claims: admitted.claims,
            asks_usage: admitted.asks_usage,
            remaining: admitted.remaining,
            warning: admitted.warning,
        });
        let extender: Weak<Open<S>> = Arc::downgrade(&open);
        attempts.extend_with(Arc::new(Extender(extender)));
        Self(open)
    }

    pub(crate) const fn open(&self) -> &Arc<Open<S>> {
        &self.0
    }
}

impl<S: Store> Drop for Guard<S> {
    fn drop(&mut self) {
        self.0.settle();
    }
}

/// Settles the call at the end of its answer's body.
pub struct Settle<S: Store> {
    guard: Guard<S>,
    meter: Meter,
}

impl<S: Store> Settle<S> {
    pub(crate) fn new(guard: Guard<S>, meter: Meter) -> Self {
        guard.open().set(Stage::Answered(meter.clone()));
        Self { guard, meter }
    }
}

impl<S: Store> Observe for Settle<S> {
    fn meter(&self) -> Option<&Meter> {
        Some(&self.meter)
    }

    fn end(&mut self, _: BodyEnd<'_>) {
        self.guard.open().settle();
    }
}

impl<S: Store> std::fmt::Debug for Settle<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settle").finish_non_exhaustive()
    }
}

/// Reserves for further attempts. It does not keep the call's account open.
struct Extender<S: Store>(Weak<Open<S>>);

impl<S: Store> Extend for Extender<S> {
    fn poll_extend(&self, model: Option<&str>, cx: &mut Context<'_>) -> Poll<bool> {
        match self.0.upgrade() {
            Some(open) => open.poll_attempt(model, cx),
            // the attempt before was settled by itself, as will be the next
            None => Poll::Ready(true),
        }
    }

    fn is_over(&self) -> bool {
        self.0.upgrade().is_none_or(|open| open.is_settled())
    }
}

impl<S: Store> Open<S> {
    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, stage: Stage) {
        self.state().stage = stage;
    }

    pub(crate) fn sent(&self) {
        self.set(Stage::Sent);
    }

    pub(crate) fn failed(&self, verdict: Verdict) {
        self.set(Stage::Failed(verdict));
    }

    pub(crate) fn not_made(&self) {
        self.set(Stage::NotMade);
    }

    fn is_settled(&self) -> bool {
        matches!(self.state().stage, Stage::Settled)
    }

    fn kept(&self, at: usize) -> &Kept {
        &self.budget.limits[at]
    }

    fn estimate<'a>(&'a self, model: &'a str, output: u64) -> Purchase<'a> {
        let purchase = Purchase::estimate(model, self.plan.input, output);
        match &self.host {
            // of another model it says nothing
            Some(host) if self.call.model() == Some(model) => purchase.host(host),
            _ => purchase,
        }
    }

    fn model(&self) -> &str {
        self.call.model().unwrap_or_default()
    }

    /// What the attempts spent that were left behind, but the one that this meter reads.
    fn left_behind(&self, own: Option<&Meter>) -> Vec<LeftBehind> {
        let mut left = self.call.attempts().left_behind();
        left.drain(..self.left_before.min(left.len()));
        left.retain(|left| {
            let same = left.meter.as_ref().zip(own);
            !same.is_some_and(|(left, own)| left.is_of_the_same(own))
        });
        left
    }

    /// The same in the unit of a limit. `None`: a price is not known.
    fn spent_on(&self, left: &[LeftBehind], unit: Unit, output: u64) -> Option<u64> {
        left.iter().try_fold(0u64, |sum, left| {
            let spent = Spent::left_behind(left, &self.call, &self.plan, output);
            Some(sum.saturating_add(spent.amount(&self.budget, unit)?))
        })
    }

    /// What all of the call comes to with an attempt of so many output tokens, in a limit's unit.
    fn needed(&self, left: &[LeftBehind], unit: Unit, model: &str, output: u64) -> Option<u64> {
        let attempt = self.budget.amount_of(unit, &self.estimate(model, output))?;
        Some(attempt.saturating_add(self.spent_on(left, unit, output)?))
    }

    /// Whether one request may come to that.
    fn is_within_request(&self, left: &[LeftBehind], model: &str, output: u64) -> bool {
        self.budget.limits.iter().all(|kept| {
            kept.window.is_some()
                || !kept.enforced
                || self
                    .needed(left, kept.unit, model, output)
                    .is_some_and(|needed| needed <= kept.amount())
        })
    }

    /// Reserves for an attempt that is about to be sent.
    fn poll_attempt(&self, model: Option<&str>, cx: &mut Context<'_>) -> Poll<bool> {
        let model = model.unwrap_or_else(|| self.model());
        let mut state = self.state();
        loop {
            if matches!(state.stage, Stage::Settled) {
                return Poll::Ready(true);
            }
            if state.extending.is_some() {
                if !ready!(state.poll_extending(cx)) {
                    return Poll::Ready(false);
                }
                continue;
            }
            let left = self.left_behind(None);
            let output = state.output;
            if !self.is_within_request(&left, model, output) {
                return Poll::Ready(false);
            }
            let mut claims = Vec::with_capacity(self.claims.len());
            for ((at, claim), reserved) in self.claims.iter().zip(&state.reserved) {
                let Some(needed) = self.needed(&left, self.kept(*at).unit, model, output) else {
                    // the price is not known
                    if self.kept(*at).enforced {
                        return Poll::Ready(false);
                    }
                    claims.push(self.claim(*at, claim, 0, 0));
                    continue;
                };
                let more = needed.saturating_sub(*reserved);
                claims.push(self.claim(*at, claim, more, more));
            }
            if claims.iter().all(|claim| claim.most == 0) || !state.extend(self, claims, None) {
                return Poll::Ready(true);
            }
        }
    }

    /// Reserves ahead of a stream that has come to so many output tokens.
    pub(crate) fn poll_ahead(
        &self,
        output: u64,
        model: Option<&str>,
        cx: &mut Context<'_>,
    ) -> Poll<Allowed> {
        let model = model.unwrap_or_else(|| self.model());
        let step = match self.plan.holds {
            Holds::Steps(step) => self.plan.output(step),
            // the provider holds to the cap, and estimates are not exact
            _ => self.plan.output(256),
        };
        let mut state = self.state();
        loop {
            let allowed = state.output.max(self.told);
            if state.extending.is_some() {
                match state.poll_extending(cx) {
                    Poll::Ready(_) => continue,
                    Poll::Pending if output < allowed => {
                        return Poll::Ready(Allowed::UpTo(output.saturating_add(1).min(allowed)));
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
            let ahead = match self.plan.holds {
                Holds::Steps(_) => state.output.saturating_sub(step / 4),
                _ => state.output,
            };
            if output < ahead {
                return Poll::Ready(Allowed::UpTo(ahead));
            }
            // a second time at the very end: others may have given something back
            let may_ask = state.refusals == 0 || (output >= allowed && state.refusals == 1);
            if !may_ask || !self.begin_step(&mut state, model, step) {
                return Poll::Ready(if output < allowed {
                    Allowed::UpTo(allowed)
                } else {
                    Allowed::NoMore
                });
            }
        }
    }

    /// Asks for one step more. False: it is more than a request may have, or has no price.
    fn begin_step(&self, state: &mut State<S>, model: &str, step: u64) -> bool {
        let left = self.left_behind(None);
        let now = state.output;
        let fits = |output| self.is_within_request(&left, model, output);
        let most = largest(now, now.saturating_add(step), fits);
        if most <= now {
            state.refusals += 1;
            return false;
        }
        let least = now.saturating_add((most - now).min(64));
        let mut claims = Vec::with_capacity(self.claims.len());
        for ((at, claim), reserved) in self.claims.iter().zip(&state.reserved) {
            let unit = self.kept(*at).unit;
            let needed = |output| self.needed(&left, unit, model, output);
            let (Some(least), Some(most)) = (needed(least), needed(most)) else {
                state.refusals += 1;
                return false;
            };
            let more = |needed: u64| needed.saturating_sub(*reserved);
            claims.push(self.claim(*at, claim, more(least), more(most)));
        }
        if !state.extend(self, claims, Some((least, most))) {
            // there is no account to ask
            state.output = most;
        }
        true
    }

    fn claim(&self, at: usize, first: &Claim, least: u64, most: u64) -> Claim {
        let kept = self.kept(at);
        Claim::new(
            first.scope.clone(),
            first.window.clone(),
            kept.amount(),
            least,
        )
        .up_to(most)
        .enforced(kept.enforced)
    }

    /// What the call came to takes the place of what was reserved.
    fn settle(&self) {
        let mut state = self.state();
        let stage = std::mem::replace(&mut state.stage, Stage::Settled);
        if matches!(stage, Stage::Settled) {
            return;
        }
        // what is still asked for is part of the reservation
        state.extending = None;
        let granted = state.output;
        let own = match &stage {
            Stage::Answered(meter) => Some(meter),
            _ => None,
        };
        let mut spent: Vec<Spent<'_>> = Vec::new();
        match &stage {
            Stage::Reserved | Stage::NotMade | Stage::Settled => {}
            Stage::Sent | Stage::Failed(Verdict::TimedOut) => {
                spent.push(Spent::unheard(&self.call, &self.plan, granted));
            }
            Stage::Failed(_) => {}
            Stage::Answered(meter) => {
                let (host, asked) = (self.host(meter), self.model());
                spent.push(Spent::of_answer(meter, &self.plan, granted, host, asked));
            }
        }
        let left = self.left_behind(own);
        let left = left
            .iter()
            .map(|left| Spent::left_behind(left, &self.call, &self.plan, granted));
        spent.extend(left);
        let used = self
            .claims
            .iter()
            .zip(&state.reserved)
            .map(|((at, _), reserved)| {
                let unit = self.kept(*at).unit;
                let sum = spent.iter().try_fold(0u64, |sum, spent| {
                    Some(sum.saturating_add(spent.amount(&self.budget, unit)?))
                });
                // what has no price costs what was thought
                sum.unwrap_or(*reserved)
            });
        let used: Vec<u64> = used.collect();
        for (((at, _), reserved), used) in self.claims.iter().zip(&state.reserved).zip(&used) {
            tell::settled(&self.budget, self.kept(*at), *reserved, *used);
        }
        if let Some(meter) = own {
            self.learn(meter);
        }
        if let Some(reservation) = state.reservation.take() {
            self.budget.store.settle(reservation, &used);
        }
    }

    /// The host, where the answer is to what this layer sent.
    fn host(&self, meter: &Meter) -> Option<&str> {
        let same = meter.asked_model() == self.call.model();
        self.host.as_deref().filter(|_| same)
    }

    fn learn(&self, meter: &Meter) {
        let Some(usage) = meter.usage().filter(|_| crate::spent::is_final(meter)) else {
            return;
        };
        let (estimate, truth) = (self.plan.prompt.tokens, usage.input());
        tell::corrected(estimate, truth);
        let is_text = self.plan.prompt.is_text;
        let model = meter.asked_model().unwrap_or_default();
        let truth = Truth {
            output: usage.output() / self.plan.choices,
            input: if is_text { (truth, estimate) } else { (0, 0) },
            text: (usage.output(), meter.text_tokens()),
        };
        self.budget.learnt.learn(model, truth);
    }
}

impl<S: Store> State<S> {
    /// False: there is no account.
    fn extend(&mut self, open: &Open<S>, claims: Vec<Claim>, output: Option<(u64, u64)>) -> bool {
        let Some(reservation) = &mut self.reservation else {
            return false;
        };
        let future = open.budget.store.extend(reservation, &claims);
        self.extending = Some(Extending {
            future,
            claims,
            output,
        });
        true
    }

    /// False: it was refused.
    fn poll_extending(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(extending) = &mut self.extending else {
            return Poll::Ready(true);
        };
        let answer = ready!(Pin::new(&mut extending.future).poll(cx));
        let Some(extending) = self.extending.take() else {
            return Poll::Ready(true);
        };
        let share = match answer {
            Ok(Reserved::Granted(grant)) => Some(grant.share),
            Ok(Reserved::Refused(_)) => None,
            Err(error) => {
                tell::away(&error);
                None
            }
        };
        let Some(share) = share else {
            self.refusals += u32::from(extending.output.is_some());
            return Poll::Ready(false);
        };
        for (reserved, claim) in self.reserved.iter_mut().zip(&extending.claims) {
            *reserved = reserved.saturating_add(share.amount(claim));
        }
        if let Some((least, most)) = extending.output {
            self.output = share.granted(least, most);
            self.refusals = 0;
        }
        Poll::Ready(true)
    }
}
