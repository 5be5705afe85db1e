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

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_of_a_partly_known_batch_goes_away_nothing_is_held() {
    let answer =
        |index: usize| format!(r#"{{"object":"embedding","index":{index},"embedding":[0.5]}}"#);
    let whole = |data: String| {
        format!(
            r#"{{"object":"list","data":[{data}],"model":"e","usage":{{"prompt_tokens":1,"total_tokens":1}}}}"#
        )
    };
    let embeddings = |input: &str| {
        let mut request = post(&format!(r#"{{"model":"e","input":{input}}}"#));
        *request.uri_mut() = "https://api.example/v1/embeddings".parse().unwrap();
        request
    };
    let points = drop_everywhere(
        async || {
            let (one, two) = (whole(answer(0)), whole([answer(0), answer(1)].join(",")));
            let (start, rest) = two.split_at(two.len() / 2);
            let slow = ScriptedBody::new()
                .data(start.to_owned())
                .wait(SECOND)
                .data(rest.to_owned());
            let slow = Answer::status(200)
                .header("content-type", "application/json")
                .body(slow);
            let script = Script::new()
                .then(Answer::json(200, one))
                .then(slow.after(SECOND));
            let layer = layer();
            ask(&layer, &script, embeddings("\"a\"")).await;
            let call = layer
                .layer(script.clone())
                .oneshot(embeddings(r#"["b","a","c"]"#));
            ((script, layer.handle()), call)
        },
        async |(script, handle), at| {
            assert!(
                script.seen().iter().all(|call| !call.answer.is_alive()),
                "{at:?}"
            );
            assert_eq!(handle.under_way(), 0, "{at:?}");
            // the answer is put together when all of it is there
            let entries = if matches!(at.point, Point::CallPending(_) | Point::Unpolled) {
                1
            } else {
                3
            };
            assert_eq!(handle.size().entries, entries, "{at:?}");
        },
    )
    .await;
    assert!(points.len() >= 4, "{points:?}");
}
