//! Callers who go away: neither success nor failure, unless they waited too long.

use std::time::Duration;

use crate::common::*;
use breaker_layer::{BreakerLayer, CircuitCounts, CircuitState, SlowCalls, Window};
use testkit::{Point, drop_everywhere};
use tower::{ServiceBuilder, ServiceExt};

/// A probe through a layer whose circuit is half-open, dropped at each place.
#[tokio::test(start_paused = true)]
async fn wherever_a_probe_is_dropped_its_slot_is_given_back_once() {
    let points = drop_everywhere(
        async || {
            let body = ScriptedBody::new()
                .wait(SECOND)
                .data(ROLE)
                .data(HELLO)
                .wait(SECOND)
                .data(STOP)
                .data(DONE);
            let script = Script::new()
                .then_answers("fffff")
                .then(Answer::stream(body).after(SECOND))
                .then_always(answered);
            let layer = exact();
            let handle = layer.handle();
            let service = service(&layer, &script);
            open(&service, &handle).await;
            pass(SECOND * 30).await;
            let upload = ScriptedBody::<BoxError>::new().wait(SECOND).data(STREAMED);
            let call = service.clone().oneshot(streamed().map(|_| upload));
            ((script, handle, service), call)
        },
        async |(script, handle, service), at| {
            assert!(script.seen().iter().all(|call| !call.answer.is_alive()));
            let before = handle.circuit(KEY).unwrap().counts;
            let sent = script.calls() as u64 - 5;
            let over = before.successes + before.neither;
            assert_eq!(over, sent, "settled once: {at:?}");
            // what closes the circuit is two successes, whether this was one of them or not
            let needed = 2 - before.successes as usize;
            assert_eq!(calls(needed, &service).await, vec![200; needed], "{at:?}");
            assert_eq!(state(&handle), CircuitState::Closed, "{at:?}");
        },
    )
    .await;
    let count = |wanted: fn(&Point) -> bool| points.iter().filter(|at| wanted(&at.point)).count();
    // the upload and the head, and then the stream's two pauses
    assert!(
        count(|point| matches!(point, Point::CallPending(_))) >= 2,
        "{points:?}"
    );
    assert_eq!(count(|point| matches!(point, Point::Frame(_))), 4);
    assert_eq!(points.last().unwrap().point, Point::Ended);
}

#[tokio::test(start_paused = true)]
async fn while_an_errors_body_is_read_a_caller_may_go_too() {
    let points = drop_everywhere(
        async || {
            let body = ScriptedBody::new().wait(SECOND).data("{}").wait(SECOND);
            let script = Script::new().then(Answer::json(500, "").body(body));
            let layer = exact();
            let handle = layer.handle();
            (handle, service(&layer, &script).oneshot(openai()))
        },
        async |handle, at| {
            let counts = handle.circuit(KEY).map(|circuit| circuit.counts);
            let CircuitCounts {
                failures, neither, ..
            } = counts.unwrap_or_default();
            let expected = match at.point {
                Point::Unpolled => (0, 0),
                Point::CallPending(_) => (0, 1),
                _ => (1, 0),
            };
            assert_eq!((failures, neither), expected, "{at:?}");
        },
    )
    .await;
    assert_eq!(points.last().unwrap().point, Point::Ended);
}

/// Fifty calls that nobody answers, each given up after so long.
async fn given_up_after(timeout: Duration, layer: &BreakerLayer, answer: fn() -> Answer) -> usize {
    let script = Script::new().then_always(answer);
    let service = ServiceBuilder::new()
        .layer(tower::timeout::TimeoutLayer::new(timeout))
        .layer(layer.clone())
        .service(script.clone());
    for _ in 0..50 {
        if let Ok(response) = service.clone().oneshot(streamed()).await {
            // the head came: it is the content that is given up on
            let body = http_body_util::BodyExt::collect(response.into_body());
            let _ = tokio::time::timeout(timeout, body).await;
        }
    }
    script.calls()
}

fn hangs() -> Answer {
    Answer::hang()
}

fn hangs_after_its_head() -> Answer {
    Answer::stream(ScriptedBody::new().data(ROLE).hang())
}

fn hangs_after_content() -> Answer {
    Answer::stream(ScriptedBody::new().data(HELLO).hang())
}

#[tokio::test(start_paused = true)]
async fn callers_who_waited_longer_than_the_limit_open_the_circuit() {
    for answer in [hangs, hangs_after_its_head] {
        let layer = exact()
            .slow_calls(SlowCalls::over(SECOND * 10))
            .window(Window::calls(10).unwrap());
        let handle = layer.handle();
        let sent = given_up_after(SECOND * 15, &layer, answer).await;
        let counts = handle.circuit(KEY).unwrap().counts;
        // and each probe opens it again
        assert!(sent < 30, "{sent} of 50 were sent");
        assert_eq!(counts.slow, sent as u64);
        assert_eq!(counts.failures, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn callers_who_went_before_the_limit_or_after_content_do_not() {
    let layer = exact()
        .slow_calls(SlowCalls::over(SECOND * 10))
        .window(Window::calls(10).unwrap());
    let handle = layer.handle();
    given_up_after(SECOND * 9, &layer, hangs).await;
    given_up_after(SECOND * 15, &layer, hangs_after_content).await;
    assert_eq!(state(&handle), CircuitState::Closed);
    let counts = handle.circuit(KEY).unwrap().counts;
    assert_eq!((counts.neither, counts.slow), (100, 0));
}
