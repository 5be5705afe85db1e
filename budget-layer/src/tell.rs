//! What is told to operators: events, and counters behind the feature `metrics`.

use std::sync::atomic::Ordering::Relaxed;

use crate::{
    amount::Amount,
    budget::{Budget, Kept},
};

macro_rules! counted {
    ($name:literal, $kept:expr, $by:expr) => {
        #[cfg(feature = "metrics")]
        ::metrics::counter!($name, "limit" => $kept.name.to_string()).increment($by);
    };
}

/// A call was admitted with this.
pub(crate) fn reserved<S>(budget: &Budget<S>, kept: &Kept, amount: u64) {
    budget.counts.reserved.fetch_add(1, Relaxed);
    counted!("llm_budget_reserved", kept, amount);
    let amount = kept.unit.amount(amount);
    tracing::debug!(limit = &*kept.name, %amount, "reserved");
}

/// A call that runs has so much more.
pub(crate) fn extended(kept: &Kept, amount: u64) {
    counted!("llm_budget_reserved", kept, amount);
    let amount = kept.unit.amount(amount);
    tracing::debug!(limit = &*kept.name, %amount, "reserved for a call that runs");
}

/// Nothing is left for a further attempt of a call.
pub(crate) fn attempt_not_sent() {
    #[cfg(feature = "metrics")]
    ::metrics::counter!("llm_budget_not_sent", "reason" => "further_attempt").increment(1);
    tracing::info!("a further attempt was not sent: the budget is used up");
}

/// A call ended, and used this instead of what was reserved.
pub(crate) fn settled<S>(budget: &Budget<S>, kept: &Kept, reserved: u64, used: u64) {
    budget.counts.settled.fetch_add(1, Relaxed);
    counted!("llm_budget_used", kept, used);
    if used > reserved {
        counted!("llm_budget_over_reserved", kept, used - reserved);
        let (reserved, used) = (kept.unit.amount(reserved), kept.unit.amount(used));
        tracing::info!(limit = &*kept.name, %reserved, %used, "more was used than was reserved");
    } else {
        let (reserved, used) = (kept.unit.amount(reserved), kept.unit.amount(used));
        tracing::debug!(limit = &*kept.name, %reserved, %used, "settled");
    }
}

/// The truth about a prompt that was estimated.
pub(crate) fn corrected(estimate: u64, truth: u64) {
    #[cfg(feature = "metrics")]
    ::metrics::histogram!(crate::metrics::INPUT_RATIO)
        .record(truth as f64 / estimate.max(1) as f64);
    tracing::debug!(estimate, truth, "the prompt's tokens are known");
}

/// A call was refused, or would have been by a limit that refuses nothing.
pub(crate) fn refused<S>(budget: &Budget<S>, kept: &Kept, asked: Amount) {
    if kept.enforced {
        budget.counts.refused.fetch_add(1, Relaxed);
        counted!("llm_budget_refused", kept, 1);
        tracing::info!(limit = &*kept.name, %asked, "a call was refused: the budget is used up");
    } else {
        budget.counts.would_refuse.fetch_add(1, Relaxed);
        counted!("llm_budget_would_refuse", kept, 1);
        tracing::info!(limit = &*kept.name, %asked, "a call would have been refused");
    }
}

/// A call was refused for another reason.
pub(crate) fn not_sent<S>(budget: &Budget<S>, code: &'static str) {
    budget.counts.refused.fetch_add(1, Relaxed);
    #[cfg(feature = "metrics")]
    ::metrics::counter!("llm_budget_not_sent", "reason" => code).increment(1);
    tracing::info!(code, "a call was refused");
}

/// So much is taken of an account now: it may have come to the share of its limit from which on it warns.
pub(crate) fn taken(kept: &Kept, before: u64, now: u64, limit: u64) {
    if kept.is_soft_over(now, limit) && !kept.is_soft_over(before, limit) {
        counted!("llm_budget_warned", kept, 1);
        let percent = percent(now, limit);
        tracing::warn!(limit = &*kept.name, percent, "a budget is nearly used up");
    }
}

/// So many hundredths of a limit.
pub(crate) fn percent(taken: u64, limit: u64) -> u64 {
    let percent = u128::from(taken) * 100 / u128::from(limit.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

/// A stream was ended.
pub(crate) fn cut<S>(budget: &Budget<S>) {
    budget.counts.cut.fetch_add(1, Relaxed);
    #[cfg(feature = "metrics")]
    ::metrics::counter!("llm_budget_cut").increment(1);
    tracing::info!("a stream was ended: the budget is used up");
}

/// The store did not answer.
pub(crate) fn away(error: &crate::store::StoreError) {
    #[cfg(feature = "metrics")]
    ::metrics::counter!("llm_budget_store_away").increment(1);
    tracing::warn!(%error, "the budgets' store did not answer");
}
