//! The cases that `calls` measures, each a service and what is sent through it.

use std::{
    convert::Infallible,
    hint::black_box,
    task::{Context, Poll},
    time::Duration,
};

use breaker_layer::{BreakerLayer, CircuitState, Window};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use llm_exchange::Payload;
use testkit::shaped::{AtOnce, call, drive};
use tokio::time::Instant;
use tower::{Layer, Service};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

/// So many requests are made before the clock runs.
const BATCH: u64 = 64;

pub struct Case {
    pub name: String,
    /// The time of so many calls.
    run: Box<dyn FnMut(u64) -> Duration>,
}

/// Drops the request: what is left of a call where nothing else is done with it.
struct Dropped;

impl<B> Service<Request<B>> for Dropped {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        drop(black_box(request));
        std::future::pending()
    }
}

impl Case {
    fn new<T: 'static>(
        name: impl Into<String>,
        make: impl Fn() -> T + 'static,
        mut send: impl FnMut(T) + 'static,
    ) -> Self {
        let run = move |calls: u64| {
            let (mut left, mut time) = (calls, Duration::ZERO);
            while left > 0 {
                let batch: Vec<T> = (0..left.min(BATCH)).map(|_| make()).collect();
                left -= batch.len() as u64;
                let start = Instant::now();
                batch.into_iter().for_each(&mut send);
                time += start.elapsed();
            }
            time
        };
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }

    pub fn run(&mut self, calls: u64) -> Duration {
        (self.run)(calls)
    }
}

/// A call whose facts a layer further out has read.
pub fn payload() -> Request<Payload> {
    Payload::read(call(), 1 << 20).now_or_never().unwrap()
}

fn of_layer(name: impl Into<String>, layer: &BreakerLayer) -> Case {
    let mut service = layer.layer(AtOnce(200));
    Case::new(name, payload, move |request| drive(&mut service, request))
}

pub fn closed() -> Vec<Case> {
    let mut cases = vec![
        Case::new("bare, payload", payload, |request| {
            drive(&mut AtOnce(200), request);
        }),
        of_layer("breaker-layer", &BreakerLayer::new()),
    ];
    for calls in [10, 100, 1_000, 10_000, 100_000] {
        let layer = BreakerLayer::new().failure_rate(50).unwrap();
        let layer = layer.window(Window::calls(calls).unwrap());
        cases.push(of_layer(
            format!("breaker-layer, window of {calls}"),
            &layer,
        ));
    }
    let layer = CircuitBreakerLayer::builder().build().unwrap();
    let mut peer = layer.layer(AtOnce(200));
    cases.push(Case::new("bare, full", call, |request| {
        drive(&mut AtOnce(200), request);
    }));
    cases.push(Case::new(PEER, call, move |request| {
        drive(&mut peer, request)
    }));
    cases
}

pub const PEER: &str = "tower-resilience-circuitbreaker";

pub fn open() -> Vec<Case> {
    // for as long as circuits are open at most, as the calls are many
    let layer = BreakerLayer::new().open_for(Duration::from_secs(300));
    let mut failing = layer.layer(AtOnce(500));
    (0..5).for_each(|_| drive(&mut failing, payload()));
    let circuit = &layer.handle().circuits()[0];
    assert_eq!(circuit.state, CircuitState::Open);
    let peer = CircuitBreakerLayer::builder().build().unwrap();
    let mut peer = peer.layer(AtOnce(200));
    peer.force_open().now_or_never().unwrap();
    vec![
        Case::new("only dropped, payload", payload, |request| {
            drop(Dropped.call(request));
        }),
        of_layer("breaker-layer", &layer),
        Case::new("only dropped, full", call, |request| {
            drop(Dropped.call(request));
        }),
        Case::new(PEER, call, move |request| drive(&mut peer, request)),
    ]
}
