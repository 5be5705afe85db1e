//! Telling the app, the log and the metrics.

use std::time::Duration;

use llm_exchange::Verdict;

use crate::GaveUp;

/// A call is about to be sent again.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Retrying<'a> {
    /// The number of the coming attempt, from 2.
    pub attempt: u32,
    /// What the outcome before it meant.
    pub verdict: Verdict,
    /// The wait until it is sent.
    pub delay: Duration,
    /// The model asked for.
    pub model: Option<&'a str>,
}

/// The app's hook, called before each wait. It runs on the call's own task: keep it short.
///
/// Any `Fn(&Retrying<'_>)` is one; `()` is none.
pub trait OnRetry {
    /// A call is about to be sent again.
    fn retrying(&self, retrying: &Retrying<'_>);
}

impl OnRetry for () {
    fn retrying(&self, _: &Retrying<'_>) {}
}

impl<F: Fn(&Retrying<'_>)> OnRetry for F {
    fn retrying(&self, retrying: &Retrying<'_>) {
        self(retrying);
    }
}

pub(crate) fn retrying(hook: &impl OnRetry, retrying: &Retrying<'_>) {
    tracing::debug!(
        attempt = retrying.attempt,
        verdict = retrying.verdict.as_str(),
        delay_ms = retrying.delay.as_millis() as u64,
        model = retrying.model,
        "sending the call again"
    );
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_retry_retries", "verdict" => retrying.verdict.as_str()).increment(1);
    hook.retrying(retrying);
}

pub(crate) fn gave_up(attempts: u32, verdict: Verdict, why: GaveUp, model: Option<&str>) {
    tracing::info!(
        attempts,
        verdict = verdict.as_str(),
        why = why.as_str(),
        model,
        "the call is not sent again"
    );
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_retry_gave_up", "why" => why.as_str()).increment(1);
}
