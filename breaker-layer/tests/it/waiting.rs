//! Waiting for a probe's slot instead of being refused.

use crate::common::*;
use breaker_layer::{BreakerLayer, CircuitState};
use futures_util::future::join_all;
use llm_exchange::Attempts;
use tokio::time::Instant;

fn waits(at_most: u64, waiters: usize) -> BreakerLayer {
    exact().wait_for_probe(SECOND * at_most as u32, waiters)
}

#[tokio::test(start_paused = true)]
async fn ten_clones_wait_for_one_probe_and_all_are_answered() {
    let layer = waits(60, 10).successes(1).unwrap();
    let handle = layer.handle();
    let script = Script::new()
        .then_answers("fffff")
        .then(answered().after(SECOND * 5))
        .then_answers(".........");
    let service = service(&layer, &script);
    open(&service, &handle).await;
    let start = Instant::now();
    let statuses = join_all((0..10).map(|_| call(&service, openai()))).await;
    assert_eq!(statuses, [200; 10]);
    // 30 s until the probe, 5 s for it
    assert_eq!(start.elapsed(), SECOND * 35);
    let at: Vec<_> = script
        .seen()
        .iter()
        .skip(5)
        .map(|call| call.at - start)
        .collect();
    assert_eq!(at[0], SECOND * 30);
    assert!(at[1..].iter().all(|at| *at == SECOND * 35), "{at:?}");
    assert_eq!(handle.circuit(KEY).unwrap().counts.refused, 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_wakes_the_next_one() {
    let layer = waits(60, 10).successes(1).unwrap();
    let handle = layer.handle();
    let script = Script::new()
        .then_answers("fffff")
        .then(Answer::hang())
        .then_answers("..");
    let service = service(&layer, &script);
    open(&service, &handle).await;
    pass(SECOND * 30).await;
    let probe = tokio::time::timeout(SECOND * 7, call(&service, openai()));
    let start = Instant::now();
    let (probe, waited) = tokio::join!(probe, call(&service, openai()));
    assert!(probe.is_err());
    assert_eq!((waited, start.elapsed()), (200, SECOND * 7));
}

#[tokio::test(start_paused = true)]
async fn more_callers_than_places_are_refused_at_once() {
    let layer = waits(60, 3);
    let handle = layer.handle();
    let script = Script::new().then_answers("fffff").then_always(answered);
    let service = service(&layer, &script);
    open(&service, &handle).await;
    let start = Instant::now();
    let timed = join_all((0..5).map(|_| async {
        let status = call(&service, openai()).await;
        (status, start.elapsed())
    }));
    let timed = timed.await;
    assert!(
        timed[..3]
            .iter()
            .all(|(status, at)| *status == 200 && *at == SECOND * 30)
    );
    assert!(
        timed[3..]
            .iter()
            .all(|(status, at)| *status == 503 && at.is_zero())
    );
    // the places are free again
    handle.reset(KEY);
    open_with(&service, &script).await;
    pass(SECOND * 1).await;
    assert_eq!(
        join_all((0..3).map(|_| call(&service, openai()))).await,
        [200; 3]
    );
}

async fn open_with(service: &Service, script: &Script) {
    let _ = script.clone().then_answers("fffff");
    calls(5, service).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_in_vain() {
    // 20 s are not enough for the 30 s until the probe, nor is the call's own deadline
    let start = Instant::now();
    for (layer, deadline) in [(waits(20, 9), None), (waits(60, 9), Some(SECOND * 20))] {
        let handle = layer.handle();
        let service = service(&layer, &Script::new().then_answers("fffff"));
        open(&service, &handle).await;
        let mut request = openai();
        if let Some(deadline) = deadline {
            let attempts = Attempts::default();
            attempts.end_by(Instant::now() + deadline);
            request.extensions_mut().insert(attempts);
        }
        assert_eq!(call(&service, request).await, 503);
        assert!(handle.force_open(KEY));
        assert_eq!(call(&service, openai()).await, 503);
    }
    assert!(start.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_long_enough_is_refused() {
    let layer = waits(40, 9);
    let handle = layer.handle();
    let script = Script::new().then_answers("fffff").then(Answer::hang());
    let service = service(&layer, &script);
    open(&service, &handle).await;
    pass(SECOND * 30).await;
    let probe = send(&service, openai());
    let mut probe = std::pin::pin!(probe);
    assert!(futures_util::poll!(probe.as_mut()).is_pending());
    let start = Instant::now();
    assert_eq!(call(&service, openai()).await, 503);
    assert_eq!(start.elapsed(), SECOND * 40);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_the_app_closes_lets_the_waiting_calls_through() {
    let layer = waits(60, 9);
    let handle = layer.handle();
    let script = Script::new().then_answers("fffff").then_always(answered);
    let service = service(&layer, &script);
    open(&service, &handle).await;
    let start = Instant::now();
    let reset = async {
        tokio::time::sleep(SECOND * 3).await;
        assert!(handle.reset(KEY));
    };
    let (statuses, ()) = tokio::join!(join_all((0..4).map(|_| call(&service, openai()))), reset);
    assert_eq!((statuses, start.elapsed()), (vec![200; 4], SECOND * 3));
    assert_eq!(state(&handle), CircuitState::Closed);
}
