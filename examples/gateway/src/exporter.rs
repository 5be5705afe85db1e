//! The layers' metrics, for Prometheus.

use std::{sync::OnceLock, time::Duration};

use budget_layer::metrics as budget_metrics;
use cost_layer::metrics::{DURATION_BUCKETS, DURATIONS, TOKEN_BUCKETS, TOKENS, describe};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::interval;

/// Values of histograms wait for so long before they are counted.
const UPKEEP: Duration = Duration::from_secs(5);

/// The process has one recorder, whatever number of gateways run in it. `None`: there is one of the
/// app's own, which has the metrics then.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins to record, with the conventions' boundaries.
pub(crate) fn install() {
    RECORDER.get_or_init(|| {
        let histograms = DURATIONS
            .iter()
            .map(|name| (name, &DURATION_BUCKETS))
            .chain(TOKENS.iter().map(|name| (name, &TOKEN_BUCKETS)));
        let ratio = Matcher::Full(budget_metrics::INPUT_RATIO.to_owned());
        let mut builder = PrometheusBuilder::new()
            .with_recommended_naming(true)
            .set_buckets_for_metric(ratio, &budget_metrics::RATIO_BUCKETS)
            .ok()?;
        for (name, buckets) in histograms {
            let name = Matcher::Full((*name).to_owned());
            builder = builder.set_buckets_for_metric(name, buckets).ok()?;
        }
        let handle = builder.install_recorder();
        match handle {
            Ok(handle) => {
                describe();
                Some(handle)
            }
            Err(error) => {
                tracing::warn!(%error, "/metrics lacks what another recorder has");
                None
            }
        }
    });
}

/// Counts again and again what waits, as nobody may ask.
pub(crate) async fn upkeep() {
    let mut every = interval(UPKEEP);
    loop {
        every.tick().await;
        if let Some(Some(handle)) = RECORDER.get() {
            handle.run_upkeep();
        }
    }
}

/// Prometheus' text format.
pub(crate) fn text() -> String {
    match RECORDER.get() {
        Some(Some(handle)) => handle.render(),
        _ => String::new(),
    }
}
