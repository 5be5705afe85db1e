//! A call may be dropped anywhere: it is booked once, or it was never sent.

use proptest::prelude::*;
use testkit::{Point, drop_everywhere};
use tower::{Layer, ServiceExt};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn wherever_a_call_is_dropped_it_is_booked_exactly_once_if_it_was_sent() {
    let points = drop_everywhere(
        async || {
            let script = Script::new().then(
                Answer::stream(
                    ScriptedBody::new()
                        .data(HELLO)
                        .wait(SECOND)
                        .data(STOP)
                        .data(USAGE)
                        .data(DONE),
                )
                .after(SECOND),
            );
            let layer = layer();
            let upload = ScriptedBody::<BoxError>::new().wait(SECOND).data(STREAM);
            let call = layer
                .layer(script.clone())
                .oneshot(post(STREAM).map(|_| upload));
            ((script, layer.handle()), call)
        },
        async |(script, handle), at| {
            let all = entries(&handle).await;
            assert_eq!(all.len(), script.calls(), "{at:?}");
            assert_eq!(handle.stats().calls, script.calls() as u64);
            assert_eq!(handle.stats().waiting, 0);
            for entry in all {
                let cost = entry.cost().unwrap();
                assert!(cost.picos() > 0, "{at:?}: it was sent, and costs");
                assert_eq!(entry.verdict.as_str() == "ok", at.complete, "{at:?}");
            }
            assert!(
                script.seen().iter().all(|call| !call.answer.is_alive()),
                "{at:?}"
            );
        },
    )
    .await;
    assert_eq!(points.last().unwrap().point, Point::Ended);
    assert!(
        points
            .iter()
            .any(|at| matches!(at.point, Point::BodyPending(_)))
    );
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    Failed,
    DroppedUnpolled,
    DroppedInFlight,
    DroppedAtHead,
    DroppedInBody,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop::sample::select(vec![
        Fate::Answered,
        Fate::Failed,
        Fate::DroppedUnpolled,
        Fate::DroppedInFlight,
        Fate::DroppedAtHead,
        Fate::DroppedInBody,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn of_many_calls_each_that_was_sent_is_booked_once_and_the_sums_agree(
        fates in proptest::collection::vec(fate(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let layer = layer();
            let handle = layer.handle();
            let mut sent = 0;
            for fate in fates {
                let answer = match fate {
                    Fate::Failed => Answer::error("reset"),
                    Fate::DroppedInFlight => Answer::hang(),
                    _ => Answer::sse([HELLO, STOP, USAGE, DONE]),
                };
                let script = Script::new().then(answer);
                let call = layer.layer(script.clone()).oneshot(post(STREAM));
                match fate {
                    Fate::DroppedUnpolled => drop(call),
                    Fate::DroppedInFlight => {
                        tokio::time::timeout(SECOND, call).await.unwrap_err();
                    }
                    Fate::Failed => drop(call.await.unwrap_err()),
                    Fate::DroppedAtHead => drop(call.await.unwrap()),
                    Fate::DroppedInBody => {
                        let mut body = call.await.unwrap().into_body();
                        http_body_util::BodyExt::frame(&mut body).await;
                    }
                    Fate::Answered => drop(text(call.await.unwrap()).await),
                }
                sent += script.calls();
            }
            let all = entries(&handle).await;
            assert_eq!(all.len(), sent);
            assert_eq!(handle.stats().calls as usize, sent);
            let sum: u128 = all.iter().map(|entry| entry.cost().unwrap().picos()).sum();
            assert_eq!(handle.stats().cost.picos(), sum);
        });
    }
}
