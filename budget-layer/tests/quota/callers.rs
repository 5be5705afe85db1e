//! Callers who go away while they wait, or while others wait for them.

use testkit::{Point, drop_everywhere};
use tower::ServiceExt;

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn wherever_a_call_that_waited_is_dropped_its_place_is_free_and_another_goes_first() {
    let points = drop_everywhere(
        async || {
            let body = ScriptedBody::new().wait(SECOND).data("{}");
            let script = Script::new()
                .then(throttled(2_000))
                .then(Answer::status(200).body(body).after(SECOND / 4))
                .then_always(answered);
            let layer = ProviderQuotaLayer::new();
            let handle = layer.handle();
            let service = service(&layer, &script);
            call(&service, chat()).await;
            let upload = ScriptedBody::<BoxError>::new().wait(SECOND / 2).data(CHAT);
            let call = service.clone().oneshot(chat().map(|_| upload));
            ((script, handle, service), call)
        },
        async |(script, handle, service), at| {
            assert!(script.seen().iter().all(|call| !call.answer.is_alive()));
            assert!(handle.held().iter().all(|held| held.waiting == 0), "{at:?}");
            let start = Instant::now();
            let (one, other) = tokio::join!(call(&service, chat()), call(&service, chat()));
            assert_eq!((one.0, other.0), (200, 200), "{at:?}");
            assert!(
                start.elapsed() <= SECOND * 7 / 2,
                "{at:?}: {:?}",
                start.elapsed()
            );
        },
    )
    .await;
    let pending = points
        .iter()
        .filter(|at| matches!(at.point, Point::CallPending(_)));
    // the upload, the wait, and the answer's head
    assert!(pending.count() >= 3, "{points:?}");
    assert_eq!(points.last().unwrap().point, Point::Ended);
}

#[tokio::test(start_paused = true)]
async fn the_first_one_that_is_gone_or_fails_leaves_its_turn_to_the_next() {
    for first in [Answer::error("connection refused"), Answer::hang()] {
        let script = Script::new()
            .then(throttled(1_000))
            .then(first)
            .then(answered().after(SECOND / 4))
            .then_always(answered);
        let service = service(&ProviderQuotaLayer::new(), &script);
        call(&service, chat()).await;
        let start = Instant::now();
        let gone = async {
            // the head start of one second is not over
            let leaving = tokio::time::timeout(SECOND * 5 / 4, service.clone().oneshot(chat()));
            let _ = leaving.await;
        };
        let next = async {
            sleep(SECOND / 100).await;
            let (status, _) = call(&service, chat()).await;
            (status, start.elapsed())
        };
        let third = async {
            sleep(SECOND / 50).await;
            call(&service, chat()).await.0
        };
        let ((), next, third) = tokio::join!(gone, next, third);
        assert_eq!((next.0, third), (200, 200));
        assert!(next.1 <= SECOND * 8 / 5, "{next:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_sent_to_nobody_leaves_the_turn_too() {
    use tower::Layer;
    // a quota layer within refuses what goes first
    let script = Script::new()
        .then(throttled(1_000))
        .then(throttled(8_000))
        .then_always(answered);
    let inner = ProviderQuotaLayer::new().max_wait(AT_ONCE);
    let handle = inner.handle();
    let service = ProviderQuotaLayer::new().layer(inner.layer(script));
    let status = async || {
        service
            .clone()
            .oneshot(chat())
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status().await, 429);
    sleep(SECOND).await;
    assert_eq!(status().await, 429);
    // the outer one waits for as long as the inner one would refuse
    let start = Instant::now();
    assert_eq!(status().await, 200);
    assert_eq!(start.elapsed(), SECOND * 8);
    assert!(handle.held().iter().all(|held| held.opens_in.is_none()));
}
