//! A call may be dropped anywhere: nothing is held, nothing is sent after it.

use crate::common::*;
use testkit::{Point, drop_everywhere};

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_goes_away_the_upstream_is_dropped_at_once_and_never_called_again() {
    let points = drop_everywhere(
        async || {
            let chain = fallback_layer::Chain::of("a")
                .then("b")
                .then(fallback_layer::Target::model("c").max_latency(SECOND * 2))
                .then("d");
            let layer = fallback_layer::FallbackLayer::new(chain).unwrap();
            let script = Script::new()
                .then(Answer::error("refused").after(SECOND))
                .then(Answer::stream(
                    ScriptedBody::new().data(ROLE).wait(SECOND).error("reset"),
                ))
                .then(Answer::hang())
                .then(Answer::stream(
                    ScriptedBody::new()
                        .wait(SECOND)
                        .data(ROLE)
                        .data(HELLO)
                        .wait(SECOND)
                        .data(STOP)
                        .data(DONE),
                ));
            let text = r#"{"model":"a","messages":[]}"#;
            let upload = ScriptedBody::<BoxError>::new().wait(SECOND).data(text);
            let mut request = openai("a").map(|_| upload);
            request.headers_mut().remove("content-length");
            let call = layer.layer(script.clone()).oneshot(request);
            ((script, layer.handle()), call)
        },
        async |(script, handle), at| {
            let calls = script.calls();
            let alive = script.seen().iter().any(|call| call.answer.is_alive());
            assert!(!alive, "{at:?}");
            let remembered = handle.remembered().len();
            assert_eq!(remembered, calls.saturating_sub(1), "{at:?}");
            tokio::time::advance(SECOND * 300).await;
            assert_eq!(script.calls(), calls, "called again after {at:?}");
            let stats = handle.stats();
            assert_eq!(stats.all_failed, 0, "{at:?}");
            assert!(stats.calls <= 1);
        },
    )
    .await;
    let count = |wanted: fn(&Point) -> bool| points.iter().filter(|at| wanted(&at.point)).count();
    // upload, refused, broken stream, nothing, stream
    assert!(
        count(|point| matches!(point, Point::CallPending(_))) >= 5,
        "{points:?}"
    );
    assert_eq!(count(|point| matches!(point, Point::Frame(_))), 4);
    assert_eq!(points.last().unwrap().point, Point::Ended);
}
