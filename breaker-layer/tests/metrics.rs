//! The gauge of each circuit, through the `metrics` facade.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering::Relaxed},
};

use breaker_layer::{BreakerHandle, BreakerLayer};
use http::Request;
use http_body_util::{BodyExt, Full};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use testkit::{Answer, Script};
use tower::{Layer, ServiceExt};

/// Keeps the gauges by name and label, and looks at the circuits while one is told: nothing is locked then.
#[derive(Default)]
struct Recorder(
    Mutex<HashMap<String, Arc<AtomicU64>>>,
    Mutex<Option<BreakerHandle>>,
);

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        if let Some(handle) = &*self.1.lock().unwrap() {
            assert!(!handle.circuits().is_empty());
        }
        let label = key.labels().next().map_or("", |label| label.value());
        let mut gauges = self.0.lock().unwrap();
        let gauge = gauges.entry(format!("{} {label}", key.name())).or_default();
        Gauge::from_arc(Arc::clone(gauge))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl Recorder {
    fn gauges(&self) -> HashMap<String, f64> {
        let gauges = self.0.lock().unwrap();
        gauges
            .iter()
            .map(|(name, value)| (name.clone(), f64::from_bits(value.load(Relaxed))))
            .collect()
    }
}

#[test]
fn a_circuit_that_changes_has_a_gauge_and_junk_keys_have_none() {
    let recorder = Recorder::default();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let layer = BreakerLayer::new().max_keys(8).unwrap();
            let handle = layer.handle();
            *recorder.1.lock().unwrap() = Some(handle.clone());
            let service = layer.layer(Script::new().then_always(|| Answer::status(404)));
            for junk in 0..50 {
                let body = format!(r#"{{"model":"junk-{junk}","messages":[]}}"#);
                let request = Request::post("https://h/v1/chat/completions")
                    .body(Full::<bytes::Bytes>::from(body))
                    .unwrap();
                let response = service.clone().oneshot(request).await.unwrap();
                response.into_body().collect().await.unwrap();
            }
            assert!(recorder.gauges().is_empty());
            assert!(handle.force_open("junk-49@h"));
            assert_eq!(recorder.gauges()["llm_breaker_state junk-49@h"], 2.0);
            assert!(handle.reset("junk-49@h"));
            assert_eq!(recorder.gauges()["llm_breaker_state junk-49@h"], 0.0);
            assert_eq!(recorder.gauges().len(), 1);
            // one that is forgotten while it is open is not shown as open for good
            for shut in handle.circuits() {
                assert!(handle.force_open(&shut.key));
            }
            let body = r#"{"model":"one more","messages":[]}"#;
            let request = Request::post("https://h/v1/chat/completions")
                .body(Full::<bytes::Bytes>::from(body))
                .unwrap();
            drop(service.oneshot(request).await.unwrap());
            let open = recorder.gauges().into_values().filter(|it| *it == 2.0);
            assert_eq!(open.count(), 7);
        });
    });
}
