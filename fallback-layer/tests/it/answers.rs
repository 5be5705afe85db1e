//! The answer when nobody served the call.

use std::time::Duration;

use crate::common::*;
use fallback_layer::{Chain, FallbackLayer, Target};
use llm_exchange::{Refusal, Verdict};
use serde_json::Value;

async fn all_of(
    answers: Vec<Answer>,
) -> (http::StatusCode, String, Option<String>, Option<String>) {
    let script = answers.into_iter().fold(script(), Script::then);
    let response = layer().layer(script).oneshot(openai("a")).await.unwrap();
    let of = |name| header(&response, name).map(str::to_owned);
    let (status, after, not) = (
        response.status(),
        of("retry-after-ms"),
        of("x-should-retry"),
    );
    (status, text(response).await, after, not)
}

#[tokio::test(start_paused = true)]
async fn it_names_every_attempt_in_the_callers_dialect() {
    let script = script()
        .then(Answer::json(
            500,
            r#"{"error":{"message":"the prompt was: secret"}}"#,
        ))
        .then(Answer::error("reset"))
        .then(Answer::sse([ROLE, SERVER_ERROR]));
    let layer = layer();
    let service = layer.layer(script);
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(header(&response, "x-llm-model"), None);
    assert_eq!(header(&response, "x-llm-attempts"), Some("3"));
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
    assert_eq!(header(&response, "retry-after"), None);
    assert_eq!(by(&response), None);
    assert_eq!(verdicts(&response), [Verdict::Failed; 3]);
    assert!(Refusal::of(&response).is_none());
    let json: Value = serde_json::from_str(&text(response).await).unwrap();
    let names = "no target served the call: a: failed (500); b: failed; c: failed (200)";
    assert_eq!(json["error"]["message"], names);
    assert_eq!(json["error"]["code"], "all_targets_failed");
    assert_eq!(json["error"]["type"], "server_error");
    assert_eq!(layer.handle().stats().all_failed, 1);

    let script = crate::common::script().then_always(|| Answer::status(529));
    let response = layer.layer(script).oneshot(anthropic("a")).await.unwrap();
    assert_eq!(response.status(), 529);
    let json: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(json["type"], "error");
    assert_eq!(json["error"]["type"], "overloaded_error");
    assert_eq!(json["error"]["details"]["error_code"], "all_targets_failed");
}

#[tokio::test(start_paused = true)]
async fn it_has_the_status_that_helps_most() {
    let status = |answers| async { all_of(answers).await.0.as_u16() };
    let of = Answer::status;
    // what passes by itself before what does not
    assert_eq!(status(vec![of(500), of(429), of(402)]).await, 429);
    assert_eq!(status(vec![of(402), of(503), of(500)]).await, 503);
    assert_eq!(
        status(vec![of(402), of(500), Answer::json(400, TOO_LONG)]).await,
        500
    );
    let quota = || Answer::json(429, r#"{"error":{"code":"insufficient_quota"}}"#);
    let (status, body, ..) = all_of(vec![quota(), quota(), Answer::json(400, TOO_LONG)]).await;
    assert_eq!(status, 429);
    assert!(body.contains(r#""code":"insufficient_quota""#));
    let too_long = || Answer::json(400, TOO_LONG);
    let (status, body, ..) = all_of(vec![too_long(), too_long(), too_long()]).await;
    assert_eq!(status, 400);
    assert!(body.contains(r#""code":"context_length_exceeded""#));
    let broken = || Answer::stream(ScriptedBody::new().error("reset"));
    assert_eq!(all_of(vec![broken(), broken(), broken()]).await.0, 502);
    let late = || Answer::error(std::io::Error::from(std::io::ErrorKind::TimedOut));
    assert_eq!(all_of(vec![late(), broken(), broken()]).await.0, 504);
}

#[tokio::test(start_paused = true)]
async fn it_says_when_the_first_of_them_wants_to_be_asked_again() {
    let throttled = |after: &str| Answer::status(429).header("retry-after", after);
    // the first one asked for 10 s, of which 4 have passed when the last one fails
    let (_, _, after, not) = all_of(vec![
        throttled("10"),
        throttled("30").after(SECOND * 4),
        Answer::status(500),
    ])
    .await;
    assert_eq!(after.as_deref(), Some("6000"));
    assert_eq!(not.as_deref(), Some("false"));
    let (_, _, after, _) = all_of(vec![
        throttled("10"),
        Answer::json(429, r#"{"error":{"details":[{"retryDelay":"2.5s"}]}}"#),
        Answer::status(500),
    ])
    .await;
    assert_eq!(after.as_deref(), Some("2500"));
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_one_hands_back_the_answer_as_it_came() {
    let layer = FallbackLayer::new(Chain::of("a")).unwrap();
    let page = "x".repeat(200 << 10);
    let body = ScriptedBody::chunks(page.as_bytes().chunks(9_000).map(<[u8]>::to_vec));
    let script = script().then(Answer::status(502).header("x-id", "7").body(body));
    let response = layer.layer(script).oneshot(openai("a")).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(header(&response, "x-id"), Some("7"));
    assert_eq!(header(&response, "x-should-retry"), Some("false"));
    assert_eq!(left(&response), ["a: failed (502)"]);
    assert_eq!(text(response).await, page);
    let script = crate::common::script().then(Answer::error("reset"));
    let error = layer.layer(script).oneshot(openai("a")).await.unwrap_err();
    assert_eq!(error.to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_tried_nothing_is_sent() {
    let chain = Chain::of(Target::model("a").disabled(true))
        .then(Target::model("b").label("the spare one").disabled(true));
    let layer = FallbackLayer::new(chain).unwrap();
    let response = layer.layer(script()).oneshot(openai("a")).await.unwrap();
    assert_eq!(response.status(), 503);
    let refusal = Refusal::of(&response).unwrap();
    assert_eq!(
        (refusal.layer(), refusal.code()),
        ("fallback-layer", "no_target")
    );
    assert_eq!(
        left(&response),
        ["a: skipped, disabled", "the spare one: skipped, disabled"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_apps_own_that_is_refused_is_not_told_as_the_callers() {
    let key = |model: &str| Target::model(model).credential("sk");
    let layer = FallbackLayer::new(Chain::of(key("a")).then(key("b"))).unwrap();
    let script = script().then_always(|| Answer::status(401));
    let response = layer.layer(script).oneshot(openai("a")).await.unwrap();
    assert_eq!(response.status(), 502);
}

#[tokio::test(start_paused = true)]
async fn only_the_outermost_layer_says_not_again() {
    let request = openai("a");
    let read = llm_exchange::Payload::read(request, 1 << 20).await;
    assert!(llm_exchange::Call::of(&read).unwrap().attempts().claim());
    let script = script().then_always(|| Answer::status(500));
    let response = layer().layer(script).oneshot(read).await.unwrap();
    assert_eq!(header(&response, "x-should-retry"), None);
}

#[tokio::test(start_paused = true)]
async fn the_app_hears_of_each_target_that_is_left() {
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = heard.clone();
    let layer = layer().on_fallback(move |leaving| {
        let (from, to) = (leaving.target.to_owned(), leaving.next.to_owned());
        log.lock()
            .unwrap()
            .push((from, to, leaving.verdict, leaving.attempt));
    });
    let script = script()
        .then(Answer::status(500).after(Duration::from_millis(5)))
        .then(Answer::status(429))
        .then(answered());
    layer.layer(script).oneshot(openai("a")).await.unwrap();
    let (a, b, c) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
    assert_eq!(
        *heard.lock().unwrap(),
        [
            (a, b.clone(), Verdict::Failed, 2),
            (b, c, Verdict::Throttled, 3)
        ]
    );
    let stats = layer.handle().stats();
    assert_eq!((stats.calls, stats.fell_back, stats.all_failed), (1, 1, 0));
}
