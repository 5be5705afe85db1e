//! What a call that is served at once allocates beyond the bare service: facts read, 12 headers.
//!
//! `cargo test -p fallback-layer --features testkit/count-allocations --test allocations`
#![allow(unreachable_pub, dead_code, clippy::unwrap_used)]

#[path = "../../retry-layer/benches/common/mod.rs"]
mod common;
#[path = "../benches/services/mod.rs"]
mod services;

use common::{PROVIDER, drive, full, payload};
use services::{ours, peer, tower_retry};
use testkit::alloc::count;

#[test]
fn a_call_served_at_once_costs_at_most_four_allocations_and_no_copy_of_its_body() {
    let bare = |request| count(|| drive(&mut PROVIDER.clone(), request));
    let mut service = ours();
    // the first answer shares the name of its model from then on
    drive(&mut service, payload());
    let (request, same) = (payload(), payload());
    let (added, bare) = (count(|| drive(&mut service, request)), bare(same));
    let ours = added.allocations - bare.allocations;
    let bytes = added.bytes - bare.bytes;

    let mut service = tower_retry();
    let request = payload();
    let tower = count(|| drive(&mut service, request));
    let towers = tower.allocations - bare.allocations;

    let mut service = peer();
    let (request, same) = (full(), full());
    let bare_full = count(|| drive(&mut PROVIDER.clone(), same));
    let peer = count(|| drive(&mut service, request));
    let peers = peer.allocations - bare_full.allocations;

    println!(
        "added allocations (bytes): {ours} ({bytes}), tower::retry {towers} ({}), \
         tower-resilience-fallback {peers} ({})",
        tower.bytes - bare.bytes,
        peer.bytes - bare_full.bytes
    );
    assert!(ours <= 4, "{ours}");
    // the request's body has 2 KiB
    assert!(bytes < 2_000, "{bytes}");
}
