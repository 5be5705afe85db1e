//! A call may be dropped anywhere: nothing is held, nothing is sent after it.

use crate::common::*;
use testkit::{Point, drop_everywhere};
use tower::{Layer, ServiceExt};

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_goes_away_the_upstream_is_dropped_at_once_and_never_called_again() {
    let points = drop_everywhere(
        async || {
            let script = Script::new()
                .then(Answer::error("refused").after(SECOND))
                .then(throttled().after(SECOND))
                .then(Answer::stream(
                    ScriptedBody::new().data(ROLE).wait(SECOND).error("reset"),
                ))
                .then(Answer::stream(
                    ScriptedBody::new()
                        .wait(SECOND)
                        .data(ROLE)
                        .data(HELLO)
                        .data(STOP)
                        .wait(SECOND)
                        .data(DONE),
                ));
            let layer = exact();
            let upload = ScriptedBody::<BoxError>::new().wait(SECOND).data(OPENAI);
            let call = layer
                .layer(script.clone())
                .oneshot(openai().map(|_| upload));
            ((script, layer.handle()), call)
        },
        async |(script, handle), at| {
            let calls = script.calls();
            assert!(
                script.seen().iter().all(|call| !call.answer.is_alive()),
                "{at:?}"
            );
            tokio::time::advance(SECOND * 300).await;
            assert_eq!(script.calls(), calls, "called again after {at:?}");
            let stats = handle.stats();
            assert_eq!(
                stats.errors, 0,
                "a caller who goes away is no error: {at:?}"
            );
            assert!(stats.requests <= 1);
            let sent_again = calls.saturating_sub(1) as u64;
            assert_eq!(stats.retries, sent_again, "{at:?}");
        },
    )
    .await;
    let count = |wanted: fn(&Point) -> bool| points.iter().filter(|at| wanted(&at.point)).count();
    // upload, refused, pause, throttled, pause, stream, pause, stream
    assert!(
        count(|point| matches!(point, Point::CallPending(_))) >= 8,
        "{points:?}"
    );
    assert_eq!(count(|point| matches!(point, Point::Frame(_))), 4);
    assert_eq!(points.last().unwrap().point, Point::Ended);
}
