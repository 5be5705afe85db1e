//! What a call that succeeds at once allocates beyond the bare service: facts read, 12 headers.
//!
//! `cargo test -p retry-layer --features testkit/count-allocations --test allocations`
#![allow(unreachable_pub, dead_code, clippy::unwrap_used)]

#[path = "../benches/common/mod.rs"]
mod common;

use common::{ClonePolicy, PROVIDER, drive, full, payload};
use retry_layer::RetryLayer;
use testkit::alloc::count;
use tower::Layer;

#[test]
fn a_successful_call_costs_at_most_four_allocations() {
    let bare = |request| count(|| drive(&mut PROVIDER.clone(), request));
    let mut ours = RetryLayer::new().layer(PROVIDER);
    // the first call of a layer makes its entry in the retry budget
    drive(&mut ours, payload());
    let (request, same) = (payload(), payload());
    let added = count(|| drive(&mut ours, request)).allocations - bare(same).allocations;

    let mut tower = tower::retry::RetryLayer::new(ClonePolicy(5)).layer(PROVIDER);
    let (request, same) = (payload(), payload());
    let towers = count(|| drive(&mut tower, request)).allocations - bare(same).allocations;

    let peer = tower_resilience_retry::RetryLayer::builder()
        .max_attempts(6)
        .build();
    let mut peer = peer.layer(PROVIDER);
    let (request, same) = (full(), full());
    let bare_full = count(|| drive(&mut PROVIDER.clone(), same)).allocations;
    let peers = count(|| drive(&mut peer, request)).allocations - bare_full;

    println!("added allocations: {added}, tower::retry {towers}, tower-resilience-retry {peers}");
    assert!(added <= 4, "{added}");
}

#[test]
fn an_attempt_that_can_only_be_the_last_copies_nothing_of_the_request() {
    let bare = |request| count(|| drive(&mut PROVIDER.clone(), request));
    let mut ours = RetryLayer::new().max_retries(0).layer(PROVIDER);
    drive(&mut ours, payload());
    let (request, same) = (payload(), payload());
    let added = count(|| drive(&mut ours, request)).allocations - bare(same).allocations;
    // the mark on the answer
    assert_eq!(added, 1);
}
