//! What the layer adds to a call, beside its peer in the same run: closed, with windows of several sizes,
//! and open.
//!
//! Requests are made before the clock runs; dropped they are within it, and the answer is read to its end.
//! To the peer goes the request as it is, to our layer one whose facts were read: each has the bare service
//! over its own kind beside it. The peer judges a call by its head and does not look at the body; it knows
//! one circuit, no key. An open peer returns an error value, our layer a whole answer; what dropping the
//! refused request costs stands beside both.
//!
//! - `cargo bench -p breaker-layer --bench calls`
//! - `cargo bench -p breaker-layer --bench calls -- least`: the least and the median of 200 interleaved rounds
//!   of each case, for a machine that is not idle.
//! - `calls ir GROUP CASE N` makes N calls and ends, for `valgrind --tool=callgrind
//!   --toggle-collect='testkit::shaped::drive*'`.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod common;

use common::Case;
use criterion::{BenchmarkId, Criterion, criterion_group};

const ROUNDS: usize = 200;
const CALLS: u64 = 2_000;

fn groups() -> [(&'static str, Vec<Case>); 2] {
    [("closed", common::closed()), ("open", common::open())]
}

fn calls(c: &mut Criterion) {
    for (group, cases) in groups() {
        let mut group = c.benchmark_group(format!("breaker, {group}"));
        for mut case in cases {
            group.bench_function(BenchmarkId::from_parameter(case.name.clone()), |b| {
                b.iter_custom(|calls| case.run(calls));
            });
        }
        group.finish();
    }
}

fn least() {
    for (group, mut cases) in groups() {
        let mut rounds: Vec<_> = cases.iter().map(|_| Vec::with_capacity(ROUNDS)).collect();
        for _ in 0..ROUNDS {
            for (case, times) in cases.iter_mut().zip(&mut rounds) {
                times.push(case.run(CALLS).as_nanos() as f64 / CALLS as f64);
            }
        }
        for (case, times) in cases.iter().zip(&mut rounds) {
            times.sort_by(f64::total_cmp);
            let (least, median) = (times[0], times[ROUNDS / 2]);
            println!(
                "{group}, {:40} least {least:6.1} ns, median {median:6.1} ns",
                case.name
            );
        }
    }
}

criterion_group!(benches, calls);

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match &args[..] {
        [_, ir, group, case, calls] if ir == "ir" => {
            let mut all = groups()
                .into_iter()
                .find(|(name, _)| name == group)
                .unwrap();
            let case = all.1.iter_mut().find(|it| it.name == *case).unwrap();
            case.run(calls.parse().unwrap());
        }
        [_, mode, ..] if mode == "least" => least(),
        _ => {
            benches();
            Criterion::default().configure_from_args().final_summary();
        }
    }
}
