//! Telling the log and the metrics.

/// An attempt or its answer was given up by a clock, or as its model repeats itself.
pub(crate) fn cut_off(why: &'static str) {
    tracing::info!(why, "an answer was cut off");
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_stream_timeouts", "why" => why).increment(1);
}

/// A stream is over, by its own end or by another.
pub(crate) fn ended(end: &'static str) {
    if end == "complete" {
        tracing::debug!(end, "a stream ended");
    } else {
        tracing::info!(end, "a stream ended");
    }
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_stream_ends", "end" => end).increment(1);
}

/// The caller of a stream went away, and the rest was read for its usage.
pub(crate) fn drained(whole: bool) {
    tracing::debug!(whole, "the rest of an abandoned stream was read");
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_stream_drains", "whole" => if whole { "yes" } else { "no" })
        .increment(1);
}
