//! Log events and metrics, and that nothing private is in them.
//!
//! A binary of its own: which events are listened to is decided once for the whole process.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, unused_imports, reason = "shared with the other tests")]
#[path = "it/common.rs"]
mod common;

use std::{
    cell::RefCell,
    fmt::{self, Write},
    sync::Once,
};

use common::*;
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Stands in prompt, credential, query and the provider's message.
const CANARY: &str = "canary-4711";

thread_local! {
    /// What was logged by this test.
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Writes the events of the crate down.
struct Events;

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("retry_layer")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                write!(self.0, "{}={value:?} ", field.name()).unwrap();
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        let level = *event.metadata().level();
        LOGGED.with_borrow_mut(|logged| logged.push((level, line.0)));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Events).unwrap());
}

/// Throttled, overloaded inside of a 200, and out of retries.
async fn a_call_that_fails() -> String {
    listen();
    let says_it = |answer: &str| answer.replace("slow down", CANARY).replace("oops", CANARY);
    let script = Script::new()
        .then(Answer::json(429, says_it(RATE_LIMITED)))
        .then(Answer::sse([ROLE.to_owned(), says_it(SERVER_ERROR)]))
        .then_always(move || Answer::json(429, says_it(RATE_LIMITED)));
    let layer = exact().max_retries(2);
    let body = OPENAI.replace("hi", CANARY);
    let mut request = openai().map(|_| Full::from(body));
    *request.uri_mut() = format!("https://api.example/v1/chat/completions?key={CANARY}")
        .parse()
        .unwrap();
    let bearer = format!("Bearer {CANARY}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let mut service = layer.layer(script);
    let call = service.call(request);
    let shown = format!("{layer:?} {service:?} {call:?} {:?}", layer.handle());
    let response = call.await.unwrap();
    format!("{shown} {:?}", response.body())
}

#[tokio::test(start_paused = true)]
async fn each_retry_and_the_end_are_logged_and_nothing_private_is_shown_anywhere() {
    let shown = a_call_that_fails().await;
    assert!(!shown.contains(CANARY), "{shown}");
    let events = LOGGED.take();
    let [(first, one), (_, two), (last, end)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((*first, *last), (Level::DEBUG, Level::INFO));
    assert!(one.contains(r#"attempt=2 verdict="throttled" delay_ms=1000 model="gpt-6-sol""#));
    assert!(two.contains(r#"attempt=3 verdict="failed" delay_ms=2000"#));
    assert!(end.contains(r#"attempts=3 verdict="throttled" why="exhausted""#));
    assert!(!format!("{events:?}").contains(CANARY));
}

#[tokio::test(start_paused = true)]
async fn a_success_and_the_callers_own_fault_are_not_worth_a_line() {
    listen();
    let script = Script::new().then(answered()).then(Answer::status(400));
    let service = exact().layer(script);
    service.clone().oneshot(openai()).await.unwrap();
    service.oneshot(openai()).await.unwrap();
    assert!(LOGGED.take().is_empty());
}

#[cfg(feature = "metrics")]
mod counters {
    use std::{
        collections::HashMap,
        sync::{
            Arc, Mutex,
            atomic::{AtomicU64, Ordering},
        },
    };

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    /// By name and label.
    #[derive(Default)]
    struct Counts(Mutex<HashMap<String, Arc<AtomicU64>>>);

    impl Recorder for Counts {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: String = key
                .labels()
                .map(|label| format!(" {}={}", label.key(), label.value()))
                .collect();
            let name = key.name().to_owned() + &labels;
            Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(name).or_default()))
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn retries_and_calls_given_up_are_counted_by_their_reasons() {
        let counts = Counts::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        metrics::with_local_recorder(&counts, || runtime.block_on(super::a_call_that_fails()));
        let counts = counts.0.lock().unwrap();
        let mut counts: Vec<_> = counts
            .iter()
            .map(|(name, count)| (name.as_str(), count.load(Ordering::Relaxed)))
            .collect();
        counts.sort_unstable();
        assert_eq!(
            counts,
            [
                ("llm_retry_gave_up why=exhausted", 1),
                ("llm_retry_retries verdict=failed", 1),
                ("llm_retry_retries verdict=throttled", 1),
            ]
        );
    }
}
