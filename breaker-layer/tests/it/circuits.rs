//! When a circuit opens, for how long, and how it closes.

use std::time::Duration;

use crate::common::*;
use breaker_layer::{BreakerHandle, BreakerLayer, CircuitState, SlowCalls, Window};

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_open_the_circuit_and_two_probes_close_it() {
    let script = Script::new().then_answers("ff.fffff").then_always(answered);
    let layer = exact();
    let handle = layer.handle();
    let service = service(&layer, &script);
    assert_eq!(
        calls(8, &service).await,
        [500, 500, 200, 500, 500, 500, 500, 500]
    );
    assert_eq!(state(&handle), CircuitState::Open);
    assert_eq!(calls(2, &service).await, [503, 503]);
    assert_eq!(script.calls(), 8, "nothing was sent");
    pass(SECOND * 30).await;
    assert_eq!(calls(1, &service).await, [200]);
    assert_eq!(state(&handle), CircuitState::HalfOpen);
    assert_eq!(calls(1, &service).await, [200]);
    assert_eq!(state(&handle), CircuitState::Closed);
    assert_eq!(calls(9, &service).await, [200; 9]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_refused_counts() {
    let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let script = Script::new().then_always(move || Answer::error(refused()));
    let layer = exact();
    let service = service(&layer, &script);
    for _ in 0..5 {
        assert!(send(&service, openai()).await.is_err());
    }
    assert_eq!(call(&service, openai()).await, 503);
    assert_eq!(script.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_window_of_calls_slides_however_many_successes_there_were() {
    let script = Script::new().then_always(answered);
    let layer = exact()
        .no_failures_in_a_row()
        .failure_rate(50)
        .unwrap()
        .window(Window::calls(100).unwrap());
    let handle = layer.handle();
    let service_ = service(&layer, &script);
    for _ in 0..100_000 {
        call(&service_, openai()).await;
    }
    let script = script.then_answers(&"f".repeat(50));
    let before = script.calls();
    calls(49, &service_).await;
    assert_eq!(state(&handle), CircuitState::Closed);
    calls(1, &service_).await;
    assert_eq!(state(&handle), CircuitState::Open);
    assert_eq!(script.calls(), before + 50);
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_too_few_calls_says_nothing() {
    let layer = exact()
        .no_failures_in_a_row()
        .failure_rate(50)
        .unwrap()
        .window(Window::calls(100).unwrap().at_least(10).unwrap());
    let handle = layer.handle();
    let script = Script::new().then_always(failed);
    let service = service(&layer, &script);
    calls(9, &service).await;
    assert_eq!(state(&handle), CircuitState::Closed);
    calls(1, &service).await;
    assert_eq!(state(&handle), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn in_a_window_of_time_old_calls_count_no_more() {
    let layer = exact()
        .no_failures_in_a_row()
        .failure_rate(60)
        .unwrap()
        .window(Window::time(SECOND * 10).unwrap().at_least(10).unwrap());
    let handle = layer.handle();
    let script = Script::new()
        .then_answers(&".".repeat(30))
        .then_always(failed);
    let service = service(&layer, &script);
    calls(35, &service).await;
    assert_eq!(state(&handle), CircuitState::Closed, "5 of 35");
    pass(SECOND * 11).await;
    calls(9, &service).await;
    assert_eq!(state(&handle), CircuitState::Closed, "9 are too few");
    calls(1, &service).await;
    assert_eq!(state(&handle), CircuitState::Open, "10 of 10");
}

#[tokio::test(start_paused = true)]
async fn probes_far_apart_close_the_circuit_of_a_window_of_time() {
    // each probe comes long after the window of the one before
    let layer = exact()
        .failure_rate(50)
        .unwrap()
        .window(Window::time(SECOND).unwrap())
        .probes(2)
        .unwrap();
    let handle = layer.handle();
    let script = Script::new().then_answers("fffff").then_always(answered);
    let service = service(&layer, &script);
    calls(5, &service).await;
    for _ in 0..2 {
        pass(SECOND * 40).await;
        assert_eq!(calls(1, &service).await, [200]);
    }
    assert_eq!(state(&handle), CircuitState::Closed);
}

/// A stream whose first content comes after so long.
fn slow(after: Duration) -> Answer {
    Answer::stream(
        ScriptedBody::new()
            .data(ROLE)
            .wait(after)
            .data(HELLO)
            .data(STOP)
            .data(DONE),
    )
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_the_circuit_though_they_succeed() {
    let layer = exact()
        .slow_calls(SlowCalls::over(SECOND * 10))
        .window(Window::calls(4).unwrap());
    let handle = layer.handle();
    let script = Script::new()
        .then(slow(SECOND * 9))
        .then(slow(SECOND * 11))
        .then(slow(SECOND * 9))
        .then(slow(SECOND * 11));
    let service = service(&layer, &script);
    for _ in 0..3 {
        call(&service, streamed()).await;
        assert_eq!(state(&handle), CircuitState::Closed);
    }
    call(&service, streamed()).await;
    assert_eq!(state(&handle), CircuitState::Open);
    let counts = handle.circuit(KEY).unwrap().counts;
    assert_eq!((counts.successes, counts.slow), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_opens_the_circuit_again() {
    let layer = exact().slow_calls(SlowCalls::over(SECOND * 10));
    let handle = layer.handle();
    let script = Script::new()
        .then_answers("fffff")
        .then(slow(SECOND * 11))
        .then_always(answered);
    let service = service(&layer, &script);
    calls(5, &service).await;
    pass(SECOND * 30).await;
    call(&service, streamed()).await;
    assert_eq!(state(&handle), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn an_unstreamed_call_may_take_longer() {
    let layer = exact()
        .slow_calls(SlowCalls::over(SECOND * 10).unstreamed_over(SECOND * 60))
        .window(Window::calls(1).unwrap());
    let handle = layer.handle();
    let script = Script::new()
        .then(answered().after(SECOND * 59))
        .then(answered().after(SECOND * 61));
    let service = service(&layer, &script);
    calls(1, &service).await;
    assert_eq!(state(&handle), CircuitState::Closed);
    calls(1, &service).await;
    assert_eq!(state(&handle), CircuitState::Open);
}

/// Fails until the circuit opens, and tells for how long it is open.
async fn open_for(handle: &BreakerHandle, service: &Service) -> Duration {
    for _ in 0..6 {
        call(service, openai()).await;
    }
    let circuit = handle.circuit(KEY).unwrap();
    assert_eq!(circuit.state, CircuitState::Open);
    circuit.open_for.unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_failed_probe_doubles_the_open_time_up_to_its_limit() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then_always(failed);
    let service = service(&layer, &script);
    let mut times = Vec::new();
    for _ in 0..6 {
        let time = open_for(&handle, &service).await;
        times.push(time.as_secs());
        pass(time).await;
    }
    assert_eq!(times, [30, 60, 120, 240, 300, 300]);
}

#[tokio::test(start_paused = true)]
async fn after_a_healthy_period_the_open_time_is_the_first_again() {
    let layer = exact()
        .open_for(Duration::from_millis(50))
        .healthy_after(SECOND);
    let handle = layer.handle();
    let script = Script::new();
    let service = service(&layer, &script);
    // incidents apart, with healthy calls in between
    for _ in 0..6 {
        let script = script.clone().then_answers("fffff");
        let time = open_for(&handle, &service).await;
        assert_eq!(time, Duration::from_millis(50));
        pass(time).await;
        let _ = script.then_answers(&".".repeat(50));
        assert_eq!(calls(50, &service).await, [200; 50]);
        pass(SECOND).await;
    }
    // one soon after the other
    let mut times = Vec::new();
    for _ in 0..3 {
        let script = script.clone().then_answers("fffff");
        let time = open_for(&handle, &service).await;
        times.push(time.as_millis());
        pass(time).await;
        let _ = script.then_answers("..");
        calls(2, &service).await;
    }
    assert_eq!(times, [50, 100, 200]);
}

#[tokio::test(start_paused = true)]
async fn the_open_time_is_jittered_upwards_so_that_a_crowd_does_not_come_back_as_one() {
    let mut times = Vec::new();
    for _ in 0..50 {
        let layer = BreakerLayer::new();
        let handle = layer.handle();
        let script = Script::new().then_always(failed);
        times.push(open_for(&handle, &service(&layer, &script)).await);
    }
    assert!(
        times
            .iter()
            .all(|time| (SECOND * 30..=SECOND * 33).contains(time))
    );
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 25, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_lengthens_the_open_time_and_never_shortens_it() {
    for (asked, open) in [("120", 120), ("1", 30), ("86400", 300), ("x", 30)] {
        let layer = exact();
        let handle = layer.handle();
        let script =
            Script::new().then_always(|| Answer::json(503, "").header("retry-after", asked));
        let time = open_for(&handle, &service(&layer, &script)).await;
        assert_eq!(time, SECOND * open, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_open_time_beyond_the_longest_is_the_longest() {
    let layer = exact().open_for(SECOND * 600);
    let handle = layer.handle();
    let script = Script::new().then_always(failed);
    let service = service(&layer, &script);
    assert_eq!(open_for(&handle, &service).await, SECOND * 600);
}

#[tokio::test(start_paused = true)]
async fn of_calls_that_fail_together_the_longest_wish_counts() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then_answers("ffff");
    let script = ["1", "90", "40"].into_iter().fold(script, |script, wish| {
        script.then(
            Answer::json(503, "")
                .after(SECOND)
                .header("retry-after", wish),
        )
    });
    let service = service(&layer, &script);
    calls(4, &service).await;
    let together = [
        send(&service, openai()),
        send(&service, openai()),
        send(&service, openai()),
    ];
    futures_util::future::join_all(together).await;
    assert_eq!(handle.circuit(KEY).unwrap().open_for, Some(SECOND * 90));
}

#[test]
fn numbers_that_no_breaker_can_work_with_are_refused_when_it_is_built() {
    let layer = BreakerLayer::new;
    for refused in [
        layer().failures(0).unwrap_err(),
        layer().successes(0).unwrap_err(),
        layer().probes(0).unwrap_err(),
        layer().failure_rate(0).unwrap_err(),
        layer().failure_rate(101).unwrap_err(),
        layer().max_keys(0).unwrap_err(),
        layer().last_resort(100, 10).unwrap_err(),
        layer().last_resort(50, 0).unwrap_err(),
        Window::calls(0).unwrap_err(),
        Window::calls(100_001).unwrap_err(),
        Window::time(Duration::ZERO).unwrap_err(),
        Window::calls(10).unwrap().at_least(11).unwrap_err(),
        Window::calls(10).unwrap().at_least(0).unwrap_err(),
        SlowCalls::over(SECOND).percent(0).unwrap_err(),
    ] {
        assert!(!refused.to_string().is_empty());
    }
}
