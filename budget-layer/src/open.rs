//! A call that is admitted and not settled yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use llm_exchange::{BodyEnd, Call, LeftBehind, Meter, Observe, Purchase, Verdict};

use crate::{
    amount::Unit,
    budget::{Budget, Kept},
    extend::{Extender, Extending},
    learnt::Truth,
    plan::{Holds, Plan},
    reservation::Reservation,
    spent::Spent,
    store::{Claim, Standing, Store},
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
    pub(crate) claims: Vec<(usize, Claim)>,
    /// Up to so many output tokens, by what its text is estimated at, a stream that its provider holds to
    /// a cap is not cut.
    pub(crate) told: u64,
    /// Attempts left behind before this layer saw the call are not its own.
    left_before: usize,
    /// The caller asked for the usage.
    pub(crate) asks_usage: bool,
    pub(crate) at_first: Reservation,
    pub(crate) remaining: Option<HeaderValue>,
    pub(crate) warning: Option<HeaderValue>,
    state: Mutex<State<S>>,
}

pub(crate) struct State<S: Store> {
    /// `None`: it is settled, or there is no account.
    pub(crate) reservation: Option<S::Reservation>,
    /// Of each account.
    pub(crate) reserved: Vec<u64>,
    /// How each account stood when it was asked last.
    pub(crate) standings: Vec<Standing>,
    /// Output tokens of all choices that are reserved for.
    pub(crate) output: u64,
    pub(crate) stage: Stage,
    pub(crate) extending: Option<Extending<S>>,
    /// How often in a row more was refused to the stream.
    pub(crate) refusals: u32,
}

/// How far the call has come.
pub(crate) enum Stage {
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
    pub(crate) standings: Vec<Standing>,
}

/// Settles the call when it is dropped.
pub(crate) struct Guard<S: Store>(Arc<Open<S>>);

impl<S: Store> Guard<S> {
    pub(crate) fn new(admitted: Admitted<S>) -> Self {
        let attempts = admitted.call.attempts().clone();
        let output = admitted.plan.output(admitted.each);
        let at_first = Reservation::new(admitted.plan.input.saturating_add(output));
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
                standings: admitted.standings,
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
            at_first,
            remaining: admitted.remaining,
            warning: admitted.warning,
        });
        attempts.extend_with(Arc::new(Extender(Arc::downgrade(&open))));
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

impl<S: Store> Open<S> {
    pub(crate) fn state(&self) -> MutexGuard<'_, State<S>> {
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

    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state().stage, Stage::Settled)
    }

    pub(crate) fn kept(&self, at: usize) -> &Kept {
        &self.budget.limits[at]
    }

    pub(crate) fn estimate<'a>(&'a self, model: &'a str, output: u64) -> Purchase<'a> {
        let purchase = Purchase::estimate(model, self.plan.input, output);
        match &self.host {
            // of another model it says nothing
            Some(host) if self.call.model() == Some(model) => purchase.host(host),
            _ => purchase,
        }
    }

    pub(crate) fn model(&self) -> &str {
        self.call.model().unwrap_or_default()
    }

    /// What the attempts spent that were left behind, but the one that this meter reads.
    pub(crate) fn left_behind(&self, own: Option<&Meter>) -> Vec<LeftBehind> {
        let mut left = self.call.attempts().left_behind();
        left.drain(..self.left_before.min(left.len()));
        left.retain(|left| {
            let same = left.meter.as_ref().zip(own);
            !same.is_some_and(|(left, own)| left.is_of_the_same(own))
        });
        left
    }

    /// The same in the unit of a limit. `None`: a price is not known.
    pub(crate) fn spent_on(&self, left: &[LeftBehind], unit: Unit, output: u64) -> Option<u64> {
        left.iter().try_fold(0u64, |sum, left| {
            let spent = Spent::left_behind(left, &self.call, &self.plan, output);
            Some(sum.saturating_add(spent.amount(&self.budget, unit)?))
        })
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
        let of_accounts = self.claims.iter().zip(&state.standings);
        for (((at, _), standing), (reserved, used)) in
            of_accounts.zip(state.reserved.iter().zip(&used))
        {
            let before = standing.used.saturating_add(standing.reserved);
            let more = used.saturating_sub(*reserved);
            let now = before.saturating_add(more);
            tell::taken(self.kept(*at), before, now, standing.limit);
        }
        if let Some(meter) = own {
            self.learn(meter);
        }
        if let Some(reservation) = state.reservation.take() {
            self.budget.store.settle(reservation, &used);
        }
    }

    /// The host that answered, as far as it is known.
    fn host<'a>(&'a self, meter: &'a Meter) -> Option<&'a str> {
        let same = meter.asked_model() == self.call.model();
        let own = self.host.as_deref().filter(|_| same);
        meter.asked_host().or(own)
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
