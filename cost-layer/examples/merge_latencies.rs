//! Merges the latencies of several nodes, and prints the quantiles that one node would have that had
//! answered all calls.
//!
//! ```sh
//! curl -s http://gateway-1:8080/report/latency/export > 1.hlog
//! curl -s http://gateway-2:8080/report/latency/export > 2.hlog
//! cargo run -p cost-layer --features hdr --example merge_latencies -- 1.hlog 2.hlog
//! ```

use cost_layer::MergedLatency;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut merged = MergedLatency::new();
    for path in std::env::args().skip(1) {
        merged.add(&std::fs::read_to_string(path)?)?;
    }
    for of in merged.latencies() {
        let total = of.ok.total;
        println!(
            "{} at {}: {} calls, p50 {:?}, p95 {:?}, p99 {:?}",
            of.model, of.provider, total.count, total.p50, total.p95, total.p99
        );
    }
    Ok(())
}
