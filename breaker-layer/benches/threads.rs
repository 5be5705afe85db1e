//! Two threads on one key beside one thread, over an HTTP-shaped call: how many times the calls they make.
//!
//! `cargo bench -p breaker-layer --bench threads`. All requests are made, and their facts read, before the
//! clock runs; rounds of the two are interleaved and the least time of each counts.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::{sync::Barrier, thread, time::Duration};

use breaker_layer::{BreakerLayer, Window};
use futures_util::FutureExt;
use http::Request;
use llm_exchange::Payload;
use testkit::shaped::{AtOnce, drive, template};
use tokio::time::Instant;
use tower::Layer;

const CALLS: usize = 5_000;
const ROUNDS: usize = 60;

/// Calls whose header values and bodies no other thread shares.
fn requests() -> Vec<Request<Payload>> {
    let template = template();
    let read = |_| Payload::read(template.clone(), 1 << 20).now_or_never();
    (0..CALLS).map(read).map(Option::unwrap).collect()
}

/// The time until each of so many threads has made its calls.
fn time(threads: usize, layer: &BreakerLayer) -> Duration {
    let barrier = Barrier::new(threads);
    let on_thread = || {
        let (mut service, requests) = (layer.layer(AtOnce(200)), requests());
        barrier.wait();
        let start = Instant::now();
        for request in requests {
            drive(&mut service, request);
        }
        start.elapsed()
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(on_thread)).collect();
        let times = all.into_iter().map(|thread| thread.join().unwrap());
        times.max().unwrap_or_default()
    })
}

fn main() {
    let window = |calls| {
        let layer = BreakerLayer::new().failure_rate(50).unwrap();
        layer.window(Window::calls(calls).unwrap())
    };
    for (name, layer) in [
        ("failures in a row", BreakerLayer::new()),
        ("window of 100", window(100)),
        ("window of 100,000", window(100_000)),
    ] {
        let (mut one, mut two) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            one = one.min(time(1, &layer));
            two = two.min(time(2, &layer));
        }
        let each = |time: Duration| time.as_nanos() as f64 / CALLS as f64;
        let ratio = 2.0 * one.as_secs_f64() / two.as_secs_f64();
        let (one, two) = (each(one), each(two));
        println!(
            "{name:20} one thread {one:6.1} ns a call, two {two:6.1} each: {ratio:.2} times the calls"
        );
    }
}
