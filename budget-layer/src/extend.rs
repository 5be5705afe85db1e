//! Reserving more for a call that is admitted: for a further attempt, and ahead of a stream.

use std::{
    pin::Pin,
    sync::Weak,
    task::{Context, Poll, ready},
};

use llm_exchange::{Extend, LeftBehind};

use crate::{
    amount::Unit,
    open::{Open, Stage, State},
    plan::{Holds, largest},
    store::{Claim, Reserved, Store},
    tell,
};

/// What a store was asked for and has not answered yet.
pub(crate) struct Extending<S: Store> {
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

/// Reserves for further attempts. It does not keep the call's account open.
pub(crate) struct Extender<S: Store>(pub(crate) Weak<Open<S>>);

impl<S: Store> Extend for Extender<S> {
    fn poll_extend(&self, running: &[Option<&str>], cx: &mut Context<'_>) -> Poll<bool> {
        match self.0.upgrade() {
            Some(open) => {
                let may = ready!(open.poll_attempt(running, cx));
                if !may {
                    tell::attempt_not_sent();
                }
                Poll::Ready(may)
            }
            // the attempt before was settled by itself, as will be the next
            None => Poll::Ready(true),
        }
    }

    fn is_over(&self) -> bool {
        self.0.upgrade().is_none_or(|open| open.is_settled())
    }
}

impl<S: Store> Open<S> {
    /// What all of the call comes to with attempts of so many output tokens at these models, in a
    /// limit's unit.
    fn needed(&self, left: &[LeftBehind], unit: Unit, models: &[&str], output: u64) -> Option<u64> {
        let spent = self.spent_on(left, unit, output)?;
        models.iter().try_fold(spent, |sum, model| {
            let attempt = self.budget.amount_of(unit, &self.estimate(model, output))?;
            Some(sum.saturating_add(attempt))
        })
    }

    /// Whether one request may come to that.
    fn is_within_request(&self, left: &[LeftBehind], models: &[&str], output: u64) -> bool {
        self.budget.limits.iter().all(|kept| {
            kept.window.is_some()
                || !kept.enforced
                || self
                    .needed(left, kept.unit, models, output)
                    .is_some_and(|needed| needed <= kept.amount())
        })
    }

    /// Reserves for an attempt that is about to be sent, with those that run beside it.
    fn poll_attempt(&self, running: &[Option<&str>], cx: &mut Context<'_>) -> Poll<bool> {
        let models: Vec<&str> = running
            .iter()
            .map(|model| model.unwrap_or_else(|| self.model()))
            .collect();
        let mut state = self.state();
        loop {
            if matches!(state.stage, Stage::Settled) {
                return Poll::Ready(true);
            }
            if state.extending.is_some() {
                if !ready!(state.poll_extending(self, cx)) {
                    return Poll::Ready(false);
                }
                continue;
            }
            let left = self.left_behind(None);
            let output = state.output;
            if !self.is_within_request(&left, &models, output) {
                return Poll::Ready(false);
            }
            let mut claims = Vec::with_capacity(self.claims.len());
            for ((at, claim), reserved) in self.claims.iter().zip(&state.reserved) {
                let Some(needed) = self.needed(&left, self.kept(*at).unit, &models, output) else {
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
                match state.poll_extending(self, cx) {
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
        let fits = |output| self.is_within_request(&left, &[model], output);
        let most = largest(now, now.saturating_add(step), fits);
        if most <= now {
            state.refusals += 1;
            return false;
        }
        let least = now.saturating_add((most - now).min(64));
        let mut claims = Vec::with_capacity(self.claims.len());
        for ((at, claim), reserved) in self.claims.iter().zip(&state.reserved) {
            let unit = self.kept(*at).unit;
            let needed = |output| self.needed(&left, unit, &[model], output);
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
    fn poll_extending(&mut self, open: &Open<S>, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(extending) = &mut self.extending else {
            return Poll::Ready(true);
        };
        let answer = ready!(Pin::new(&mut extending.future).poll(cx));
        let Some(extending) = self.extending.take() else {
            return Poll::Ready(true);
        };
        let grant = match answer {
            Ok(Reserved::Granted(grant)) => Some(grant),
            Ok(Reserved::Refused(_)) => None,
            Err(error) => {
                tell::away(&error);
                None
            }
        };
        let Some(grant) = grant else {
            self.refusals += u32::from(extending.output.is_some());
            return Poll::Ready(false);
        };
        let share = grant.share;
        for (reserved, claim) in self.reserved.iter_mut().zip(&extending.claims) {
            *reserved = reserved.saturating_add(share.amount(claim));
        }
        let asked = open.claims.iter().zip(&extending.claims);
        for (((at, _), claim), standing) in asked.zip(&grant.standings) {
            let taken = standing.used.saturating_add(standing.reserved);
            let before = taken.saturating_sub(share.amount(claim));
            tell::extended(open.kept(*at), share.amount(claim));
            tell::taken(open.kept(*at), before, taken, standing.limit);
        }
        self.standings = grant.standings;
        if let Some((least, most)) = extending.output {
            self.output = share.granted(least, most);
            self.refusals = 0;
        }
        Poll::Ready(true)
    }
}
