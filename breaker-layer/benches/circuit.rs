//! One circuit alone: a call admitted and settled, with windows of several sizes.
//!
//! `cargo bench -p breaker-layer --bench circuit`. The crate's own files are compiled into the bench, as the
//! circuit is no part of its API. With `circuit ir CASE N` it makes N calls and ends, for
//! `valgrind --tool=callgrind`: the difference of two N, divided, is the instructions of a call.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../src/circuit.rs"]
mod circuit;
#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/recent.rs"]
mod recent;
#[path = "../src/rules.rs"]
mod rules;
#[allow(unused_imports, reason = "other files of the crate take the rest")]
#[path = "../src/sync.rs"]
mod sync;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group};

use crate::{
    circuit::{Outcome, Said},
    gate::Gate,
    rules::{Nanos, Rules, Span},
};

const SUCCESS: Outcome = Outcome {
    said: Said::Success,
    slow: false,
    retry_after: None,
};

fn in_a_row() -> Rules {
    Rules::default()
}

fn window(calls: u32) -> Rules {
    Rules {
        failure_percent: Some(50),
        span: Span::Calls(calls),
        ..Rules::default()
    }
}

fn time() -> Rules {
    Rules {
        span: Span::Time(60_000_000_000),
        ..window(1)
    }
}

fn call(gate: &Gate, rules: &Rules, now: Nanos) {
    if let Ok(token) = gate.admit(rules, || now, drop) {
        gate.settle(rules, black_box(token), SUCCESS, || now, || 0.5, drop);
    }
}

fn cases() -> Vec<(String, Rules)> {
    let windows = [10, 1_000, 100_000].map(|calls| (format!("window of {calls}"), window(calls)));
    let mut cases = vec![
        ("in a row".to_owned(), in_a_row()),
        ("window of time".to_owned(), time()),
    ];
    cases.extend(windows);
    cases
}

fn alone(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker, the circuit alone");
    for (name, rules) in cases() {
        let gate = Gate::new(&rules, 0);
        let mut now = 0;
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| {
                now += 1_000;
                call(&gate, &rules, now);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, alone);

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, ir, case, calls] = &args[..]
        && ir == "ir"
    {
        let (_, rules) = cases().into_iter().find(|(name, _)| name == case).unwrap();
        let gate = Gate::new(&rules, 0);
        (0..calls.parse().unwrap()).for_each(|now| call(&gate, &rules, now));
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
