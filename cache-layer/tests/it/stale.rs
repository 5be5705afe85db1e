//! Answers past their time.

use crate::common::*;
use http_body_util::BodyExt;
use llm_exchange::{ErrorAnswer, FromCache, Refusal};
use tower::{Layer, ServiceExt};

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn an_answer_expires_at_its_time_and_jitter_only_shortens_it() {
    let script = Script::new().then_always(answered);
    let exact = layer().ttl(HOUR);
    ask(&exact, &script, post(CHAT)).await;
    tokio::time::advance(HOUR - SECOND).await;
    assert_eq!(ask(&exact, &script, post(CHAT)).await.cache(), "hit");
    tokio::time::advance(SECOND).await;
    assert_eq!(ask(&exact, &script, post(CHAT)).await.cache(), "miss");

    let jittered = layer().ttl(HOUR).ttl_jitter(0.5);
    let mut hits = 0;
    for number in 0..60 {
        ask(
            &jittered,
            &script,
            post(&CHAT.replace("hi", &number.to_string())),
        )
        .await;
    }
    tokio::time::advance(HOUR * 3 / 4).await;
    for number in 0..60 {
        let got = ask(
            &jittered,
            &script,
            post(&CHAT.replace("hi", &number.to_string())),
        )
        .await;
        hits += usize::from(got.cache() == "hit");
    }
    assert!((10..50).contains(&hits), "{hits} of 60");
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_served_while_one_new_one_is_got() {
    let script = Script::new()
        .then(answered())
        .then(Answer::json(200, ANSWER.replace("Hello", "Newer")).after(SECOND));
    let layer = layer().ttl(HOUR).stale_while_revalidate(HOUR);
    ask(&layer, &script, post(CHAT)).await;
    tokio::time::advance(HOUR + SECOND * 5).await;
    for _ in 0..3 {
        let got = ask(&layer, &script, post(CHAT)).await;
        assert_eq!((got.cache(), got.header("age")), ("stale", Some("3605")));
        assert_eq!(got.text, ANSWER);
        assert_eq!(FromCache::of(&got.response), Some(FromCache::Hit));
    }
    tokio::time::sleep(SECOND * 2).await;
    let got = ask(&layer, &script, post(CHAT)).await;
    assert_eq!(got.cache(), "hit");
    assert!(got.text.contains("Newer"));
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_is_served_stale_and_gets_no_new_one() {
    let script = Script::new().then_always(answered);
    let layer = layer().ttl(HOUR).stale_while_revalidate(HOUR);
    ask(&layer, &script, post(CHAT)).await;
    tokio::time::advance(HOUR + SECOND).await;
    let got = ask(&layer, &script, controlled(CHAT, "only-if-cached")).await;
    assert_eq!(got.cache(), "stale");
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_served_what_is_older_than_they_want() {
    let script = Script::new().then(answered()).then_always(throttled);
    let layer = layer().ttl(HOUR).stale_while_revalidate(HOUR);
    let layer = layer.stale_if_error(HOUR * 10);
    ask(&layer, &script, post(CHAT)).await;
    tokio::time::advance(SECOND * 30).await;
    for age in ["max-age=0", "max-age=30"] {
        let got = ask(&layer, &script, controlled(CHAT, age)).await;
        assert_eq!((got.cache(), got.response.status().as_u16()), ("miss", 429));
    }
    let got = ask(&layer, &script, controlled(CHAT, "max-age=31")).await;
    assert_eq!(got.cache(), "hit");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_served_from_the_cache_and_marked() {
    let broken: [fn() -> Answer; 6] = [
        throttled,
        || Answer::json(503, "{}"),
        || Answer::error("connection refused"),
        || Answer::json(200, r#"{"error":{"message":"m","code":502}}"#),
        || Answer::sse(["data: {\"error\":{\"type\":\"server_error\"}}\n\n"]),
        || Answer::stream(ScriptedBody::new().error("reset")),
    ];
    for (number, failure) in broken.into_iter().enumerate() {
        let streams = number > 3;
        let body = if streams { STREAMED } else { CHAT };
        let script = Script::new()
            .then(if streams { streamed() } else { answered() })
            .then_always(failure);
        let layer = layer().ttl(HOUR).stale_if_error(HOUR * 10);
        let first = ask(&layer, &script, post(body)).await;
        tokio::time::advance(HOUR * 2).await;
        let got = ask(&layer, &script, post(body)).await;
        assert_eq!(
            (got.cache(), got.header("age")),
            ("stale", Some("7200")),
            "{number}"
        );
        assert_eq!(got.text, first.text);
        assert_eq!(script.calls(), 2);
        // and nothing is served for ever
        tokio::time::advance(HOUR * 10).await;
        let got = layer.layer(script.clone()).oneshot(post(body)).await;
        if let Ok(response) = got {
            assert_eq!(response.headers()["x-llm-cache"], "miss");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_layer_further_in_is_an_outage_and_the_callers_fault_is_not() {
    let layer = layer().ttl(HOUR).stale_if_error(HOUR * 10);
    let script = Script::new()
        .then(answered())
        .then_always(|| Answer::json(400, "{}"));
    ask(&layer, &script, post(CHAT)).await;
    tokio::time::advance(HOUR * 2).await;
    assert_eq!(
        ask(&layer, &script, post(CHAT)).await.response.status(),
        400
    );

    let refuses = tower::service_fn(async |_: http::Request<llm_exchange::Payload>| {
        let answer = ErrorAnswer::new(http::StatusCode::SERVICE_UNAVAILABLE, "open", "open");
        let refusal = Refusal::new("breaker", answer);
        Ok::<_, BoxError>(refusal.into_response::<ScriptedBody>(None))
    });
    let got = layer.layer(refuses).oneshot(post(CHAT)).await.unwrap();
    assert_eq!(got.headers()["x-llm-cache"], "stale");
    assert_eq!(got.into_body().collect().await.unwrap().to_bytes(), ANSWER);
}

#[tokio::test(start_paused = true)]
async fn who_followed_a_call_that_failed_is_served_stale_in_an_outage_only() {
    for (status, served) in [(400, false), (401, false), (403, false), (503, true)] {
        let script = Script::new()
            .then(answered())
            .then_always(move || Answer::json(status, "{}").after(SECOND));
        let layer = layer().ttl(HOUR).stale_if_error(HOUR * 10);
        ask(&layer, &script, post(CHAT)).await;
        tokio::time::advance(HOUR * 2).await;
        let (one, two) = tokio::join!(
            ask(&layer, &script, post(CHAT)),
            ask(&layer, &script, post(CHAT)),
        );
        for got in [one, two] {
            assert_eq!(got.cache() == "stale", served, "{status}");
            let expected = if served { 200 } else { status };
            assert_eq!(got.response.status(), expected);
        }
        assert_eq!(script.calls(), if served { 2 } else { 3 });
    }
}
