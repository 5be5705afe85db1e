//! Telling the log and the metrics.

/// An attempt or its answer was given up by a clock.
pub(crate) fn cut_off(why: &'static str) {
    tracing::info!(why, "an answer took too long and was cut off");
    #[cfg(feature = "metrics")]
    metrics::counter!("llm_stream_timeouts", "why" => why).increment(1);
}
