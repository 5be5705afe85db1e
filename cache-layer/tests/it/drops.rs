//! A call may be dropped anywhere: nothing is held after it.

use testkit::{Point, drop_everywhere};
use tower::{Layer, ServiceExt};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn wherever_the_only_caller_goes_away_the_upstream_is_dropped_at_once() {
    let points = drop_everywhere(
        async || {
            let body = ScriptedBody::new()
                .data(ROLE)
                .wait(SECOND)
                .data(HEL)
                .wait(SECOND)
                .data(LO)
                .data(STOP)
                .data(USAGE)
                .data(DONE);
            let script = Script::new().then(Answer::stream(body).after(SECOND));
            let layer = layer();
            let upload = ScriptedBody::<BoxError>::new().wait(SECOND).data(STREAMED);
            let call = layer
                .layer(script.clone())
                .oneshot(post(STREAMED).map(|_| upload));
            ((script, layer.handle()), call)
        },
        async |(script, handle), at| {
            assert!(
                script.seen().iter().all(|call| !call.answer.is_alive()),
                "{at:?}"
            );
            assert_eq!(handle.under_way(), 0, "{at:?}");
            assert_eq!(handle.size().entries, u64::from(at.complete), "{at:?}");
        },
    )
    .await;
    let count = |wanted: fn(&Point) -> bool| points.iter().filter(|at| wanted(&at.point)).count();
    assert!(
        count(|point| matches!(point, Point::CallPending(_))) >= 3,
        "{points:?}"
    );
    assert!(
        count(|point| matches!(point, Point::Frame(_))) >= 4,
        "{points:?}"
    );
    assert_eq!(points.last().unwrap().point, Point::Ended);
}
