//! What a hit allocates, its key computed from the body.
//!
//! `cargo test -p cache-layer --features testkit/count-allocations --test allocations`
#![allow(unreachable_pub, dead_code, clippy::unwrap_used)]

#[path = "../benches/common/mod.rs"]
mod common;

use cache_layer::CacheLayer;
use common::{Provider, drive, full, payload};
use testkit::alloc::count;
use tower::Layer;

#[test]
fn a_hit_costs_at_most_twelve_allocations() {
    for streams in [false, true] {
        let mut service = CacheLayer::new().layer(Provider(streams));
        drive(&mut service, full(streams));
        let request = payload(streams);
        let read = count(|| drive(&mut service, request));
        let request = full(streams);
        let unread = count(|| drive(&mut service, request));
        println!("a hit: {unread:?}; of a request whose facts are read: {read:?}");
        assert!(unread.allocations <= 12, "{unread:?}");
        assert!(read.allocations <= 9, "{read:?}");
    }
}
