//! What a call allocates beyond the bare service: facts read, 12 headers, the answer read to its end.
//!
//! `cargo test -p breaker-layer --features testkit/count-allocations --test allocations`
#![allow(clippy::unwrap_used)]

use breaker_layer::{BreakerLayer, Window};
use futures_util::FutureExt;
use http::Request;
use llm_exchange::Payload;
use testkit::{
    alloc::count,
    shaped::{AtOnce, call, drive},
};
use tower::Layer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

fn payload() -> Request<Payload> {
    Payload::read(call(), 1 << 20).now_or_never().unwrap()
}

fn added(layer: &BreakerLayer) -> u64 {
    let mut ours = layer.layer(AtOnce(200));
    // the first call of a key makes its entry
    drive(&mut ours, payload());
    let (request, same) = (payload(), payload());
    let with = count(|| drive(&mut ours, request)).allocations;
    with - count(|| drive(&mut AtOnce(200), same)).allocations
}

#[test]
fn a_successful_call_costs_no_allocation() {
    assert_eq!(added(&BreakerLayer::new()), 0);
    let window = BreakerLayer::new()
        .failure_rate(50)
        .unwrap()
        .window(Window::calls(100_000).unwrap());
    assert_eq!(added(&window), 0);

    let layer = CircuitBreakerLayer::builder().build().unwrap();
    let mut peer = layer.layer(AtOnce(200));
    let (request, same) = (call(), call());
    let peers = count(|| drive(&mut peer, request)).allocations
        - count(|| drive(&mut AtOnce(200), same)).allocations;
    println!("tower-resilience-circuitbreaker: {peers}");
}

#[test]
fn a_refusal_allocates_its_type_and_one_number_in_the_room_that_the_request_leaves() {
    let layer = BreakerLayer::new();
    let mut open = layer.layer(AtOnce(500));
    // five failures open it, and the first refusal in a dialect writes the body
    (0..6).for_each(|_| drive(&mut open, payload()));
    let request = payload();
    let counted = count(|| drive(&mut open, request));
    // the extensions' three, as this request has none, and `retry-after-ms`; the headers' are there
    assert_eq!(counted.allocations, 4);
}
