//! Half-open: at most p probes at any moment, and every slot is given back.

use std::{future::Future, pin::pin, task::Poll};

use crate::common::*;
use breaker_layer::{BreakerHandle, BreakerLayer, CircuitState};
use futures_util::poll;
use llm_exchange::Payload;

/// A layer, and a service of it whose circuit is about to be half-open.
async fn half_open(layer: BreakerLayer, then: Script) -> (BreakerHandle, Script, Service) {
    let handle = layer.handle();
    let service = service(&layer, &then);
    open(&service, &handle).await;
    pass(SECOND * 30).await;
    (handle, then, service)
}

fn down() -> Script {
    Script::new().then_answers("fffff")
}

#[tokio::test(start_paused = true)]
async fn at_most_so_many_probes_are_under_way_at_once() {
    for probes in [1, 3] {
        let layer = exact().probes(probes).unwrap().successes(9).unwrap();
        let script = down().then_always(|| answered().after(SECOND));
        let (_, script, service) = half_open(layer, script).await;
        let all = (0..10).map(|_| call(&service, openai()));
        let statuses = futures_util::future::join_all(all).await;
        let through = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(through, probes as usize);
        assert_eq!(script.calls(), 5 + probes as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_opens_the_circuit_again_at_once() {
    let (handle, _, service) = half_open(exact(), down().then_answers("f")).await;
    assert_eq!(calls(2, &service).await, [500, 503]);
    let circuit = handle.circuit(KEY).unwrap();
    assert_eq!(circuit.open_for, Some(SECOND * 60));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_gives_its_slot_back() {
    // while its head is waited for, before it was polled, and with its body half read
    let script = down()
        .then(Answer::hang())
        .then(Answer::hang())
        .then(Answer::stream(ScriptedBody::new().data(HELLO).hang()))
        .then_answers("..");
    let (handle, _, service) = half_open(exact(), script).await;
    {
        let mut probe = pin!(send(&service, openai()));
        assert!(poll!(probe.as_mut()).is_pending());
        assert_eq!(calls(1, &service).await, [503], "its slot is taken");
    }
    let read = Payload::read(openai(), 1 << 20).await;
    drop(tower::Service::call(&mut service.clone(), read));
    {
        use http_body_util::BodyExt;
        let mut body = send(&service, streamed()).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        assert_eq!(calls(1, &service).await, [503], "its slot is taken");
    }
    assert_eq!(calls(2, &service).await, [200, 200]);
    assert_eq!(state(&handle), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_gives_its_slot_to_another_and_still_counts() {
    let script = down()
        .then(answered().after(SECOND * 90))
        .then(Answer::hang())
        .then_answers(".");
    let (handle, _, service) = half_open(exact(), script).await;
    let mut first = pin!(call(&service, openai()));
    assert!(poll!(first.as_mut()).is_pending());
    pass(SECOND * 59).await;
    assert_eq!(calls(1, &service).await, [503]);
    pass(SECOND).await;
    let mut second = pin!(call(&service, openai()));
    assert!(poll!(second.as_mut()).is_pending());
    // 30 s later the first is a success, and so is a third
    pass(SECOND * 30).await;
    assert_eq!(poll!(first.as_mut()), Poll::Ready(200));
    assert_eq!(state(&handle), CircuitState::HalfOpen);
    pass(SECOND * 60).await;
    assert_eq!(calls(1, &service).await, [200]);
    assert_eq!(state(&handle), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_says_nothing_gives_its_slot_back_and_decides_nothing() {
    let script = down()
        .then(Answer::status(400))
        .then(Answer::status(429))
        .then_answers("..");
    let (handle, _, service) = half_open(exact(), script).await;
    assert_eq!(calls(2, &service).await, [400, 429]);
    assert_eq!(state(&handle), CircuitState::HalfOpen);
    assert_eq!(calls(2, &service).await, [200, 200]);
    assert_eq!(state(&handle), CircuitState::Closed);
}

/// A call that was let through before the circuit opened.
fn begun<'a>(service: &'a Service) -> impl Future<Output = u16> + 'a {
    call(service, openai())
}

#[tokio::test(start_paused = true)]
async fn a_success_from_before_the_trip_does_not_close_the_circuit() {
    let script = Script::new()
        .then(answered().after(SECOND * 32))
        .then_answers("fffff")
        .then(failed().after(SECOND * 5));
    let layer = exact().successes(1).unwrap();
    let handle = layer.handle();
    let service = service(&layer, &script);
    let mut old = pin!(begun(&service));
    assert!(poll!(old.as_mut()).is_pending());
    open(&service, &handle).await;
    pass(SECOND * 30).await;
    let mut probe = pin!(call(&service, openai()));
    assert!(poll!(probe.as_mut()).is_pending());
    assert_eq!(old.await, 200);
    assert_eq!(
        state(&handle),
        CircuitState::HalfOpen,
        "the probe still runs"
    );
    assert_eq!(probe.await, 500);
    assert_eq!(state(&handle), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_failure_from_before_the_trip_does_not_discard_a_probe() {
    let script = Script::new()
        .then(failed().after(SECOND * 32))
        .then_answers("fffff")
        .then(answered().after(SECOND * 5));
    let layer = exact().successes(1).unwrap();
    let handle = layer.handle();
    let service = service(&layer, &script);
    let mut old = pin!(begun(&service));
    assert!(poll!(old.as_mut()).is_pending());
    open(&service, &handle).await;
    pass(SECOND * 30).await;
    let mut probe = pin!(call(&service, openai()));
    assert!(poll!(probe.as_mut()).is_pending());
    assert_eq!(old.await, 500);
    assert_eq!(state(&handle), CircuitState::HalfOpen);
    assert_eq!(probe.await, 200);
    assert_eq!(state(&handle), CircuitState::Closed);
}
