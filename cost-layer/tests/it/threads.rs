//! Calls on several threads at the same time, with a runtime each, one after the other, or none.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use cost_layer::{CostLayer, Window};
use futures_util::FutureExt;
use llm_exchange::Money;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt};

use crate::common::*;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

async fn call(layer: &CostLayer) {
    let script = Script::new().then(answered());
    text(layer.layer(script).oneshot(post(OPENAI)).await.unwrap()).await;
}

#[test]
fn calls_of_many_threads_are_all_in_the_sums_and_an_alert_is_told_once() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 400;
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let all = u128::from(THREADS * CALLS);
    let layer = layer()
        .no_alerts()
        // the very last call passes it
        .alert_hour(Money::from_picos(COST * (all - 1)))
        .on_alert(move |alert| hook.lock().unwrap().push(alert.kind.to_string()));
    let handle = layer.handle();
    let looked = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                runtime().block_on(async {
                    for number in 0..CALLS {
                        call(&layer).await;
                        if number % 50 == 0 {
                            // a look sees at least what this thread booked, and never less than before
                            let calls = handle.stats().calls;
                            assert!(calls > number);
                            assert!(looked.fetch_max(calls, SeqCst) <= THREADS * CALLS);
                        }
                    }
                });
            });
        }
    });
    let stats = handle.stats();
    assert_eq!(stats.calls, THREADS * CALLS);
    assert_eq!(stats.cost.picos(), COST * all);
    assert_eq!(stats.lost, 0);
    let latency = handle.latency("gpt-6-sol", Window::AllTime).unwrap();
    assert_eq!(latency.ok.total.count, THREADS * CALLS);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("the last hour cost $9.60,"), "{told:?}");
    let booked = runtime().block_on(entries(&handle)).len() as u64;
    assert_eq!(booked, THREADS * CALLS);
}

#[test]
fn a_runtime_that_is_gone_takes_no_record_along_and_the_next_one_writes() {
    let ledger = Moody::default();
    let layer = layer().ledger(ledger.clone());
    // the task is begun, and gone before it writes
    runtime().block_on(call(&layer));
    assert_eq!(ledger.batches(), Vec::<usize>::new());
    let mut paused = Builder::new_current_thread();
    let paused = paused.enable_time().start_paused(true).build().unwrap();
    paused.block_on(async {
        call(&layer).await;
        tokio::time::sleep(SECOND * 2).await;
        // another second has come
        call(&layer).await;
        tokio::time::sleep(SECOND / 5).await;
    });
    assert_eq!(ledger.batches().iter().sum::<usize>(), 3);
}

#[test]
fn without_a_runtime_calls_carry_records_on_themselves() {
    let heard = Arc::new(AtomicU64::new(0));
    let hook = Arc::clone(&heard);
    let layer = layer()
        .no_alerts()
        .alert_request("0.001".parse().unwrap())
        .on_alert(move |_| {
            hook.fetch_add(1, SeqCst);
        });
    for _ in 0..64 {
        call(&layer).now_or_never().unwrap();
    }
    assert_eq!(heard.load(SeqCst), 1);
    let handle = layer.handle();
    assert_eq!((handle.stats().calls, handle.stats().waiting), (64, 64));
    runtime().block_on(handle.flush()).unwrap();
    assert_eq!(handle.stats().waiting, 0);
}
