//! Exports of latencies that others wrote, merged: refused, or counted into quantiles in their order.
//!
//! An input that begins with `H` is the bytes of one histogram, which are put into a line as they are: cuts and
//! flips in base64 of deflated bytes hardly get as far.
//!
//! ```text
//! cargo +nightly fuzz run latencies fuzz/corpus/latencies fuzz/seeds/latencies
//! ```

#![no_main]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cost_layer::MergedLatency;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let log = match input.split_first() {
        Some((b'H', histogram)) => {
            let histogram = STANDARD.encode(histogram);
            format!("Tag=ok/total/a/m,0.000,1.000,1.000,{histogram}\n")
        }
        _ => String::from_utf8_lossy(input).into_owned(),
    };
    let mut merged = MergedLatency::new();
    // what stood before a fault was merged
    let _ = merged.add(&log);
    let _ = merged.add(&log);
    for latency in merged.latencies() {
        for timings in [latency.ok, latency.failed, latency.abandoned] {
            for of in [timings.total, timings.first_content, timings.per_token] {
                let quantiles = [of.p50, of.p90, of.p95, of.p99, of.max];
                assert!(quantiles.is_sorted(), "{quantiles:?}");
            }
        }
    }
});
