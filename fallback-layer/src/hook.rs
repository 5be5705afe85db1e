//! Telling the app, the log and the metrics.

use llm_exchange::Verdict;

use crate::{Left, Skipped};

/// A target is left for the next one.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// The label of the target that is left.
    pub target: &'a str,
    /// What came of it.
    pub verdict: Verdict,
    /// The label of the target that comes next.
    pub next: &'a str,
    /// The number of the coming attempt, from 2.
    pub attempt: u32,
}

/// The app's hook, called before each further target. It runs on the call's own task: keep it short.
///
/// Any `Fn(&Leaving<'_>)` is one; `()` is none.
pub trait OnFallback {
    /// A target is left for the next one.
    fn leaving(&self, leaving: &Leaving<'_>);
}

impl OnFallback for () {
    fn leaving(&self, _: &Leaving<'_>) {}
}

impl<F: Fn(&Leaving<'_>)> OnFallback for F {
    fn leaving(&self, leaving: &Leaving<'_>) {
        self(leaving);
    }
}

pub(crate) fn leaving(hook: &impl OnFallback, leaving: &Leaving<'_>) {
    tracing::debug!(
        target_left = leaving.target,
        verdict = leaving.verdict.as_str(),
        next = leaving.next,
        attempt = leaving.attempt,
        "the call goes on to another target"
    );
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_fallback_left", "verdict" => leaving.verdict.as_str()).increment(1);
    hook.leaving(leaving);
}

pub(crate) fn failing_over(hook: &impl OnFallback, leaving: &Leaving<'_>) {
    tracing::debug!(
        target_left = leaving.target,
        verdict = leaving.verdict.as_str(),
        next = leaving.next,
        attempt = leaving.attempt,
        "a stream that broke is gone on with"
    );
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_fallback_failed_over", "verdict" => leaving.verdict.as_str())
        .increment(1);
    hook.leaving(leaving);
}

pub(crate) fn hedged(silent: &str, next: &str) {
    tracing::debug!(silent, next, "another target is asked as well");
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_fallback_hedged").increment(1);
}

pub(crate) fn skipped(target: &str, why: Skipped) {
    tracing::debug!(target_skipped = target, %why, "a target is skipped");
}

pub(crate) fn all_failed(left: &[Left]) {
    tracing::info!(?left, "no target served the call");
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_fallback_all_failed").increment(1);
}
