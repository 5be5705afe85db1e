//! What passing a stream on allocates: every clock, the cap and the meter on.
//!
//! `cargo test -p sse-layer --features testkit/count-allocations --test allocations`
#![allow(unreachable_pub, dead_code)]

#[path = "../benches/common/mod.rs"]
mod common;

use bytes::Bytes;
use common::{cut, every, stream, through_the_layers};
use testkit::alloc::count;

fn allocations(chunks: &[Bytes]) -> u64 {
    let chunks = chunks.to_vec();
    count(|| through_the_layers(chunks)).allocations
}

#[test]
fn an_event_that_passes_costs_no_allocation() {
    let of = |events| {
        let (stream, ends) = stream(events);
        allocations(&cut(&stream, ends))
    };
    let (some, more) = (of(1_000), of(5_000));
    println!("a stream of 1,000 events: {some} allocations, of 5,000: {more}");
    // a buffer may grow with the longest text
    assert!(more <= some + 2, "however many events: {some}, {more}");
    assert!(some <= 40, "{some} for the call");
}

#[test]
fn a_large_chunk_costs_as_much_as_the_one_event_that_it_cuts() {
    let of = |events| {
        let (stream, _) = stream(events);
        let chunks = every(16 << 10, &stream);
        (allocations(&chunks), chunks.len() as u64)
    };
    let ((some, few), (more, many)) = (of(1_000), of(5_000));
    let each = (more - some) as f64 / (many - few) as f64;
    println!("{each:.2} allocations for each chunk of 16 KiB and 58 events");
    assert!(each <= 2.5, "{each}");
}
