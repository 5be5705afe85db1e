//! From a reservation to the request that is sent, or the refusal that its caller gets.

use std::{sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use llm_exchange::{AnswerBody, Call, Dialect, Payload, Purchase, ask_for_plain_text};

use crate::{
    budget::Budget,
    headers,
    open::{Admitted, Guard},
    plan::{Plan, largest},
    refusal::{self, Why},
    store::{Claim, Grant, Refused, Standing, Store},
    tell,
};

/// A call that waits for its reservation.
pub(crate) struct Admission<S: Store> {
    pub(crate) budget: Arc<Budget<S>>,
    pub(crate) request: Request<Payload>,
    pub(crate) call: Arc<Call>,
    pub(crate) dialect: Dialect,
    pub(crate) plan: Plan,
    pub(crate) host: Option<Box<str>>,
    pub(crate) claims: Vec<(usize, Claim)>,
}

/// What is to be sent, by whom it is settled, and whether its usage is to be hidden.
pub(crate) type Sent<S> = (Request<Payload>, Guard<S>, bool);

impl<S: Store> Admission<S> {
    /// The store has reserved for the call: it is sent.
    pub(crate) fn granted<R>(
        self: Box<Self>,
        grant: Grant<S::Reservation>,
    ) -> Result<Sent<S>, Box<Response<AnswerBody<R>>>> {
        let Grant {
            reservation,
            share,
            standings,
        } = grant;
        let reserved: Vec<u64> = self
            .claims
            .iter()
            .map(|(_, claim)| share.amount(claim))
            .collect();
        // prices need not grow evenly
        let fits = |each: u64| {
            self.claims
                .iter()
                .zip(&reserved)
                .all(|((at, _), reserved)| {
                    !self.budget.limits[*at].enforced
                        || self
                            .price(*at, each)
                            .is_some_and(|amount| amount <= *reserved)
                })
        };
        let granted = share.granted(self.plan.least, self.plan.most);
        let each = largest(self.plan.least, granted, fits);
        self.send(Some(reservation), reserved, each, standings)
    }

    fn price(&self, at: usize, each: u64) -> Option<u64> {
        let model = self.call.model().unwrap_or_default();
        let mut purchase = Purchase::estimate(model, self.plan.input, self.plan.output(each));
        purchase.host = self.host.as_deref();
        self.budget
            .amount_of(self.budget.limits[at].unit, &purchase)
    }

    /// It fits nowhere, or into one limit not.
    pub(crate) fn refused<R>(self: Box<Self>, refused: &Refused) -> Response<AnswerBody<R>> {
        let budget = &*self.budget;
        let remaining = headers::remaining(
            self.claims
                .iter()
                .zip(&refused.standings)
                .map(|((at, _), standing)| (&budget.limits[*at], *standing)),
        );
        let Some((at, claim)) = self.claims.get(refused.index) else {
            return refusal::answer(budget, Why::StoreAway, self.dialect, None);
        };
        let standing = refused.standings.get(refused.index).copied();
        let why = Why::Over(
            &budget.limits[*at],
            standing.unwrap_or_default(),
            claim.least,
            self.wait(refused),
        );
        refusal::answer(budget, why, self.dialect, remaining)
    }

    /// When the call would fit everywhere.
    fn wait(&self, refused: &Refused) -> Option<Duration> {
        let mut longest = Duration::ZERO;
        for ((_, claim), standing) in self.claims.iter().zip(&refused.standings) {
            if claim.enforced && standing.is_over {
                longest = longest.max(standing.wait?);
            }
        }
        // as soon as running calls have ended, which nobody knows
        (!longest.is_zero()).then_some(longest)
    }

    pub(crate) fn away<R>(self: Box<Self>) -> Response<AnswerBody<R>> {
        refusal::answer(&self.budget, Why::StoreAway, self.dialect, None)
    }

    pub(crate) fn send<R>(
        self: Box<Self>,
        reservation: Option<S::Reservation>,
        reserved: Vec<u64>,
        each: u64,
        standings: Vec<Standing>,
    ) -> Result<Sent<S>, Box<Response<AnswerBody<R>>>> {
        let Self {
            budget,
            mut request,
            plan,
            host,
            claims,
            mut call,
            dialect,
        } = *self;
        if plan.tells(each, call.output_cap())
            && let Err(why) = Call::set_output_cap(&mut request, each)
        {
            if let Some(reservation) = reservation {
                budget.store.release(reservation);
            }
            let why = format!("its output cap can't be set: {why}");
            let why = Why::Unreadable(StatusCode::BAD_REQUEST, why);
            return Err(Box::new(refusal::answer(&budget, why, dialect, None)));
        }
        let mut warnings = Vec::new();
        for (((at, claim), standing), amount) in claims.iter().zip(&standings).zip(&reserved) {
            let kept = &budget.limits[*at];
            tell::reserved(&budget, kept, *amount);
            if standing.is_over {
                // it refuses nothing
                tell::refused(&budget, kept, kept.unit.amount(claim.least));
            }
            let taken = standing.used.saturating_add(standing.reserved);
            if kept.is_soft_over(taken, standing.limit) {
                warnings.push((kept, tell::percent(taken, standing.limit)));
            }
            tell::taken(kept, taken.saturating_sub(*amount), taken, standing.limit);
        }
        let of_limits = claims.iter().zip(&standings);
        let remaining = headers::remaining(
            of_limits.map(|((at, _), standing)| (&budget.limits[*at], *standing)),
        );
        let warning = headers::warning(warnings);
        ask_for_plain_text(request.headers_mut());
        // where it can't be asked for, the usage is estimated
        let hides_usage = Call::ask_usage(&mut request).unwrap_or(false);
        let asks_usage = call.asks_usage();
        if let Some(changed) = Call::of(&request) {
            call = Arc::clone(changed);
        }
        let guard = Guard::new(Admitted {
            budget,
            call,
            plan,
            host,
            claims,
            reservation,
            reserved,
            each,
            asks_usage,
            remaining,
            warning,
            standings,
        });
        Ok((request, guard, hides_usage))
    }
}
