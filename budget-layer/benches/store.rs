//! What the memory store costs a call: a reservation in three limits, and its settling.
//!
//! `cargo bench -p budget-layer --bench store`. The claims are made outside of the measured part.
//! The last lines compare two threads with one, by the least of many short runs in turn.
#![allow(missing_docs, clippy::unwrap_used)]
// threads are measured by the machine's own time
#![allow(clippy::disallowed_methods)]

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use budget_layer::{
    Window, Zone,
    store::{Claim, MemoryStore, Reserved, Scope, Store},
};
use criterion::{Criterion, criterion_group, criterion_main};

const LIMIT: u64 = 1 << 50;

fn claim(limit: &str, owner: &str, window: Window) -> Claim {
    Claim::new(Scope::new(limit.into(), owner.into()), window, LIMIT, 700)
}

/// A user's tokens of a day and of a month, and their dollars of a day.
fn three_of(user: &str) -> [Claim; 3] {
    [
        claim("tokens a day", user, Window::day(&Zone::UTC)),
        claim("tokens a month", user, Window::month(&Zone::UTC)),
        claim("dollars a day", user, Window::day(&Zone::UTC)),
    ]
}

/// Two of a user, and one of all users together.
fn two_of_and_one_of_all(user: &str) -> [Claim; 3] {
    let [day, month, _] = three_of(user);
    [day, month, claim("all", "", Window::month(&Zone::UTC))]
}

type Case = (&'static str, fn(&str) -> [Claim; 3]);

const CASES: [Case; 2] = [
    ("three limits of one user", three_of),
    ("two of one user and one of all", two_of_and_one_of_all),
];

fn call(store: &MemoryStore, claims: &[Claim; 3]) {
    match store.reserve(black_box(claims)).into_inner() {
        Ok(Reserved::Granted(grant)) => store.settle(grant.reservation, &[500, 500, 500]),
        other => panic!("{other:?}"),
    }
}

fn one_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory store, reserve and settle");
    for (name, claims) in CASES {
        let claims = claims("alice");
        let store = MemoryStore::new();
        // other users' accounts are there too
        for user in 0..10_000 {
            call(&store, &three_of(&format!("user {user}")));
        }
        group.bench_function(name, |b| b.iter(|| call(&store, &claims)));
    }
    group.finish();
}

const CALLS: u32 = 2_000;

/// The time in which so many threads make so many calls each, every one for a user of its own.
fn together(store: &MemoryStore, threads: usize, claims: fn(&str) -> [Claim; 3]) -> Duration {
    let barrier = Barrier::new(threads);
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|user| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let claims = claims(&format!("user {user}"));
                    barrier.wait();
                    let start = Instant::now();
                    for _ in 0..CALLS {
                        call(store, &claims);
                    }
                    (start, Instant::now())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    // a thread may be late to start on a busy machine: from the first start to the last end
    let start = times.iter().map(|time| time.0).min().unwrap();
    let end = times.iter().map(|time| time.1).max().unwrap();
    end - start
}

fn two_threads(_: &mut Criterion) {
    for (name, claims) in CASES {
        let store = MemoryStore::new();
        let (mut one, mut two) = (Duration::MAX, Duration::MAX);
        for _ in 0..1_000 {
            one = one.min(together(&store, 1, claims));
            two = two.min(together(&store, 2, claims));
        }
        let ratio = 2.0 * one.as_secs_f64() / two.as_secs_f64();
        let one = one / CALLS;
        println!("{name}: {one:?} a call at best; two threads make {ratio:.2} times the calls");
    }
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
