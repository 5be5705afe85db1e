//! Targets that failed lately are skipped, and the app can see it.

use crate::common::*;
use fallback_layer::{Chain, Chains, FallbackLayer, Memory, Target};
use http::Request;
use http_body_util::BodyExt;
use llm_exchange::Verdict;
use tower::Service;

/// Sends a call and says who was asked.
async fn call<S>(
    service: &S,
    script: &Script,
    request: Request<http_body_util::Full<bytes::Bytes>>,
) -> Vec<String>
where
    S: Service<Request<http_body_util::Full<bytes::Bytes>>, Error: std::fmt::Debug> + Clone,
{
    let before = script.calls();
    service.clone().oneshot(request).await.unwrap();
    asked(script).split_off(before)
}

/// `a` always fails so, the others answer.
fn failing(failure: impl Fn() -> Answer + Send + 'static) -> Script {
    let mut number = 0;
    script().then_always(move || {
        number += 1;
        if number % 2 == 1 {
            failure()
        } else {
            answered()
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_target_that_failed_three_times_within_five_seconds_is_skipped_for_a_while() {
    let script = script();
    let script = (0..3).fold(script, |script, _| {
        script.then(Answer::status(500)).then(answered())
    });
    let script = script.then(answered()).then(answered()).then(answered());
    let layer = layer();
    let (service, handle) = (layer.layer(script.clone()), layer.handle());
    for _ in 0..3 {
        assert_eq!(call(&service, &script, openai("a")).await, ["a", "b"]);
        tokio::time::advance(SECOND * 2).await;
    }
    let remembered = handle.remembered();
    assert_eq!(remembered.len(), 1);
    assert_eq!(
        (&*remembered[0].target, remembered[0].verdict),
        ("a", Verdict::Failed)
    );
    assert_eq!(remembered[0].skipped_for, Some(SECOND * 28));
    // another service of the layer knows it too
    let sibling = layer.clone().layer(script.clone());
    assert_eq!(call(&sibling, &script, openai("a")).await, ["b"]);
    tokio::time::advance(SECOND * 27).await;
    assert_eq!(call(&service, &script, openai("a")).await, ["b"]);
    tokio::time::advance(SECOND).await;
    assert_eq!(call(&service, &script, openai("a")).await, ["a"]);
    assert_eq!(handle.remembered(), []);
}

#[tokio::test(start_paused = true)]
async fn failures_far_apart_are_not_enough() {
    let script = failing(|| Answer::status(500));
    let service = layer().layer(script.clone());
    for _ in 0..20 {
        assert_eq!(call(&service, &script, openai("a")).await, ["a", "b"]);
        tokio::time::advance(SECOND * 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_make_up_for_failures() {
    // one call in three fails, a hundred times within a second
    let mut number = 0;
    let script = script().then_always(move || {
        number += 1;
        // a: fails, b: answers, a: answers, a: answers
        if number % 4 == 1 {
            Answer::status(500)
        } else {
            answered()
        }
    });
    let service = layer().layer(script.clone());
    for _ in 0..100 {
        assert_eq!(call(&service, &script, openai("a")).await[0], "a");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_target_is_tried_though_it_failed_lately() {
    let script = script().then_always(|| Answer::status(500));
    let service = layer().layer(script.clone());
    for _ in 0..3 {
        assert_eq!(call(&service, &script, openai("a")).await, ["a", "b", "c"]);
    }
    assert_eq!(call(&service, &script, openai("a")).await, ["c"]);
    let response = service.oneshot(openai("a")).await.unwrap();
    let lately = "skipped, it failed lately";
    assert_eq!(
        left(&response),
        [
            format!("a: {lately}"),
            format!("b: {lately}"),
            "c: failed (500)".into()
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn every_failure_of_a_target_counts_and_the_callers_doing_does_not() {
    let broken = || Answer::stream(ScriptedBody::new().data(ROLE).error("reset"));
    let counts: [fn() -> Answer; 5] = [
        || Answer::status(429),
        || Answer::status(402),
        || Answer::status(529),
        || Answer::error("reset"),
        broken,
    ];
    for failure in counts {
        let script = failing(failure);
        let service = layer().layer(script.clone());
        for _ in 0..3 {
            call(&service, &script, openai("a")).await;
        }
        assert_eq!(call(&service, &script, openai("a")).await[0], "b");
    }
    let not: [fn() -> Answer; 3] = [
        || Answer::json(400, TOO_LONG),
        || Answer::json(400, FILTERED),
        || Answer::status(400),
    ];
    for failure in not {
        let script = script().then_always(failure);
        let service = layer().leave_filtered().layer(script.clone());
        for _ in 0..6 {
            assert_eq!(call(&service, &script, openai("a")).await[0], "a");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_after_its_content_is_a_failure_too() {
    for breaks in [
        || Answer::stream(ScriptedBody::new().data(HELLO).error("reset")),
        || Answer::sse([HELLO, SERVER_ERROR]),
        || Answer::sse([HELLO]),
        || Answer::json(200, "").body(ScriptedBody::new().data("{\"choices\":").error("reset")),
    ] {
        let script = script().then_always(breaks);
        let layer = layer();
        let service = layer.layer(script.clone());
        for _ in 0..3 {
            let response = service.clone().oneshot(openai("a")).await.unwrap();
            let _ = response.into_body().collect().await;
        }
        assert_eq!(call(&service, &script, openai("a")).await, ["b"]);
        assert_eq!(layer.handle().remembered()[0].verdict, Verdict::Failed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_is_no_failure_of_the_target() {
    let script = script().then_always(|| Answer::stream(ScriptedBody::new().data(HELLO).hang()));
    let layer = layer();
    let service = layer.layer(script.clone());
    for _ in 0..5 {
        let response = service.clone().oneshot(openai("a")).await.unwrap();
        drop(response);
    }
    assert_eq!(layer.handle().remembered(), []);
}

#[tokio::test(start_paused = true)]
async fn a_used_up_key_is_remembered_for_its_caller_alone_and_a_sick_host_for_all() {
    let with_key = |key: &str| {
        let mut request = openai("a");
        let value = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        request
    };
    let script = failing(|| Answer::status(402));
    let service = layer().layer(script.clone());
    for _ in 0..3 {
        call(&service, &script, with_key("poor")).await;
    }
    assert_eq!(call(&service, &script, with_key("poor")).await[0], "b");
    assert_eq!(call(&service, &script, with_key("rich")).await[0], "a");

    let script = failing(|| Answer::status(500));
    let service = layer().layer(script.clone());
    for key in ["one", "two", "three"] {
        call(&service, &script, with_key(key)).await;
    }
    assert_eq!(call(&service, &script, with_key("four")).await[0], "b");
}

#[tokio::test(start_paused = true)]
async fn a_target_is_remembered_wherever_it_stands_and_models_are_told_apart() {
    let chains = Chains::new()
        .chain(Chain::of("a").then("b"))
        .chain(Chain::of("x").then("a").then("b"))
        .default_chain(Chain::of(Target::as_asked()).then("b"));
    let layer = FallbackLayer::new(chains).unwrap();
    let script = failing(|| Answer::status(500));
    let service = layer.layer(script.clone());
    for _ in 0..3 {
        call(&service, &script, openai("a")).await;
    }
    // x fails, a is skipped
    assert_eq!(call(&service, &script, openai("x")).await, ["x", "b"]);
    for _ in 0..3 {
        assert_eq!(call(&service, &script, openai("junk")).await, ["junk", "b"]);
    }
    assert_eq!(call(&service, &script, openai("junk")).await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn the_app_can_make_the_layer_forget() {
    let script = failing(|| Answer::status(500));
    let layer = layer().memory(Memory::new().more_than(0).skip_for(SECOND * 600));
    let (service, handle) = (layer.layer(script.clone()), layer.handle());
    call(&service, &script, openai("a")).await;
    handle.forget("b");
    assert_eq!(handle.remembered()[0].skipped_for, Some(SECOND * 600));
    handle.forget("a");
    assert_eq!(handle.remembered(), []);
    assert_eq!(call(&service, &script, openai("a")).await, ["a", "b"]);
    handle.reset();
    assert_eq!(call(&service, &script, openai("a")).await, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_layer_without_memory_tries_them_all() {
    let script = failing(|| Answer::status(500));
    let layer = layer().no_memory();
    let service = layer.layer(script.clone());
    for _ in 0..9 {
        assert_eq!(call(&service, &script, openai("a")).await, ["a", "b"]);
    }
    assert_eq!(layer.handle().remembered(), []);
}
