//! For what a target is left, and for what it isn't: TRAPS at every target, streamed and not.

use std::io;

use crate::common::*;
use http::Request;
use http_body_util::BodyExt;
use llm_exchange::{Classify, ErrorAnswer, Payload, Peeked, Refusal, Standard, Verdict};
use tower::service_fn;

#[tokio::test(start_paused = true)]
async fn a_first_target_that_answers_is_all_there_is() {
    for answer in [answered, streamed] {
        let script = script().then(answer());
        let request = openai("a");
        let response = layer()
            .layer(script.clone())
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-llm-model"), Some("a"));
        assert_eq!(header(&response, "x-llm-attempts"), None);
        assert_eq!(by(&response), Some("a"));
        assert!(left(&response).is_empty());
        assert_eq!(script.calls(), 1);
        let seen = &script.seen()[0];
        assert_eq!(seen.headers.get("x-llm-attempt"), None);
        assert_eq!(seen.uri, "https://api.example/v1/chat/completions");
        assert!(text(response).await.contains("Hello"));
    }
}

/// All that goes wrong before the first content, and what it means.
fn failures() -> Vec<(Answer, Verdict)> {
    let stream = |body: ScriptedBody| Answer::stream(body);
    let body = ScriptedBody::new;
    let json = |body: ScriptedBody| Answer::json(200, "").body(body);
    let rate = r#"{"error":{"code":"rate_limit_exceeded"}}"#;
    let quota = r#"{"error":{"code":"insufficient_quota"}}"#;
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error"}}"#;
    vec![
        (
            Answer::json(429, rate).header("retry-after", "20"),
            Verdict::Throttled,
        ),
        (Answer::json(429, quota), Verdict::QuotaExhausted),
        (Answer::status(402), Verdict::QuotaExhausted),
        (Answer::status(529), Verdict::Overloaded),
        (Answer::json(400, overloaded), Verdict::Overloaded),
        (Answer::status(500), Verdict::Failed),
        (
            Answer::status(502).body(body().data(vec![b'x'; 200 << 10])),
            Verdict::Failed,
        ),
        (
            Answer::status(503).body(body().data("busy").hang()),
            Verdict::Overloaded,
        ),
        (Answer::status(504), Verdict::TimedOut),
        (Answer::error("reset"), Verdict::Failed),
        (
            Answer::error(io::Error::from(io::ErrorKind::TimedOut)),
            Verdict::TimedOut,
        ),
        (Answer::json(400, TOO_LONG), Verdict::PromptTooLong),
        (stream(body().error("reset")), Verdict::Failed),
        (stream(body().data(ROLE).error("reset")), Verdict::Failed),
        (stream(body().data(ROLE)), Verdict::Failed),
        (stream(body()), Verdict::Failed),
        (Answer::sse([SERVER_ERROR]), Verdict::Failed),
        (
            Answer::sse([": ping\n\n", ROLE, SERVER_ERROR, DONE]),
            Verdict::Failed,
        ),
        (json(body().error("reset")), Verdict::Failed),
        (
            json(body().data("\n\n").data(r#"{"error":{"code":502}}"#)),
            Verdict::Failed,
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_failure_before_the_first_content_leaves_the_target_unseen_at_every_place() {
    for at in 0..2 {
        for which in 0..failures().len() {
            for serves in [answered, streamed] {
                let mut script = script();
                for _ in 0..at {
                    script = script.then(Answer::status(500));
                }
                let (failure, verdict) = failures().swap_remove(which);
                let script = script.then(failure).then(serves());
                let service = layer().layer(script.clone());
                let response = service.oneshot(openai("a")).await.unwrap();
                assert_eq!(response.status(), 200, "{verdict:?} at {at}");
                let next = ["b", "c"][at];
                assert_eq!(by(&response), Some(next));
                assert_eq!(header(&response, "x-llm-model"), Some(next));
                assert_eq!(verdicts(&response).last(), Some(&verdict));
                assert_eq!(asked(&script), ["a", "b", "c"][..at + 2]);
                let body = text(response).await;
                assert!(body.contains("Hello") && !body.contains("oops"), "{body}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempt_that_was_left_is_let_go_before_the_next_one_is_sent() {
    let script = script()
        .then(Answer::json(500, "{}").body(ScriptedBody::new().data("{}").hang()))
        .then(answered().after(SECOND));
    let call = tokio::spawn(layer().layer(script.clone()).oneshot(openai("a")));
    while script.calls() < 2 {
        tokio::time::sleep(SECOND / 10).await;
    }
    assert!(!script.seen()[0].answer.is_alive());
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_fault_is_handed_back_as_it_came() {
    for (status, body) in [
        (400, r#"{"error":{"message":"no messages"}}"#),
        (401, r#"{"error":{"code":"invalid_api_key"}}"#),
        (403, "{}"),
        (413, "{}"),
        (422, r#"{"detail":[]}"#),
        (499, ""),
        (400, FILTERED),
    ] {
        let script = script().then(Answer::json(status, body));
        let service = layer().layer(script.clone());
        let response = service.oneshot(openai("a")).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(script.calls(), 1, "{status}");
        assert_eq!(header(&response, "x-should-retry"), None);
        assert!(left(&response).is_empty());
        assert_eq!(text(response).await, body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_or_a_model_that_the_app_configured_is_not_the_callers_fault() {
    let chain = fallback_layer::Chain::of("a")
        .then(fallback_layer::Target::model("b").credential("sk-revoked"))
        .then(local());
    let layer = fallback_layer::FallbackLayer::new(chain).unwrap();
    let script = script()
        .then(Answer::json(404, r#"{"error":{"code":"model_not_found"}}"#))
        .then(Answer::json(401, r#"{"error":{"code":"invalid_api_key"}}"#))
        .then(answered());
    let response = layer.layer(script).oneshot(openai("a")).await.unwrap();
    assert_eq!(by(&response), Some("c"));
    assert_eq!(
        left(&response),
        ["a: callers fault (404)", "b: callers fault (401)"]
    );
}

#[tokio::test(start_paused = true)]
async fn after_the_first_content_nothing_is_sent_and_the_error_reaches_the_caller() {
    let dies = ScriptedBody::new().data(ROLE).data(HELLO).error("reset");
    let script = script().then(Answer::stream(dies));
    let service = layer().layer(script.clone());
    let mut body = service.oneshot(openai("a")).await.unwrap().into_body();
    for frame in [ROLE, HELLO] {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, frame);
    }
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "reset");
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_looked_at_is_handed_on_byte_for_byte_and_frame_for_frame() {
    let frames = [
        ": hi\n\n",
        "da",
        "ta: {\"choices\":[]}\r",
        "\n\r\n",
        ROLE,
        HELLO,
        "data: x",
    ];
    let script = script().then(Answer::status(500)).then(Answer::sse(frames));
    let service = layer().layer(script);
    let mut body = service.oneshot(openai("a")).await.unwrap().into_body();
    for expected in frames {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, expected);
    }
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_layer_further_in_goes_to_the_next_target() {
    let open = || {
        ErrorAnswer::new(
            http::StatusCode::SERVICE_UNAVAILABLE,
            "open",
            "breaker open",
        )
    };
    let inner = service_fn(move |request: Request<Payload>| async move {
        let model = request.uri().host() == Some("127.0.0.1");
        let refusal = Refusal::new("breaker-layer", open());
        let response = refusal.into_response::<ScriptedBody>(None);
        Ok::<_, BoxError>(if model {
            response.map(|_| ScriptedBody::new())
        } else {
            response.map(|_| ScriptedBody::new().error("a refusal's body is not read"))
        })
    });
    let response = layer().layer(inner).oneshot(openai("a")).await.unwrap();
    assert_eq!(verdicts(&response), [Verdict::Refused; 3]);
    assert_eq!(response.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn the_apps_own_classifier_decides() {
    #[derive(Clone)]
    struct Loading;
    impl<E: 'static> Classify<E> for Loading {
        fn error(&self, error: &E) -> Verdict {
            Standard.error(error)
        }
        fn answer(&self, peeked: &Peeked) -> Verdict {
            match peeked.status().as_u16() {
                418 => Verdict::Overloaded,
                _ => peeked.verdict(),
            }
        }
    }
    let script = script().then(Answer::status(418)).then(answered());
    let layer = layer().classify(Loading);
    let response = layer.layer(script).oneshot(openai("a")).await.unwrap();
    assert_eq!(verdicts(&response), [Verdict::Overloaded]);
}

#[tokio::test(start_paused = true)]
async fn a_short_throttling_is_handed_back_where_the_app_says_so() {
    let throttled = |after: &str| Answer::status(429).header("retry-after", after);
    let layer = layer().wait_for_throttled(SECOND * 2);
    let script = script()
        .then(throttled("2"))
        .then(throttled("3"))
        .then(answered());
    let service = layer.layer(script.clone());
    let response = service.clone().oneshot(openai("a")).await.unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (429, 1));
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (200, 3));
}

#[tokio::test(start_paused = true)]
async fn a_large_request_goes_to_the_next_target_like_a_small_one() {
    let prompt = "x".repeat(300 << 10);
    let text = format!(r#"{{"model":"a","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
    let pieces = text.as_bytes().chunks(9_000).map(<[u8]>::to_vec);
    let upload = ScriptedBody::<BoxError>::chunks(pieces);
    let script = script()
        .then(Answer::status(500))
        .then(Answer::status(500))
        .then(answered());
    let request = openai("a").map(|_| upload);
    let mut request = request;
    request.headers_mut().remove("content-length");
    layer()
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(asked(&script), ["a", "b", "c"]);
    for seen in script.seen() {
        assert_eq!(seen.body.unwrap().len(), text.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_upload_broke_is_sent_once() {
    let upload = ScriptedBody::<BoxError>::new()
        .data(r#"{"model":"a""#)
        .error("gone");
    let script = script().then(Answer::status(500));
    let request = openai("a").map(|_| upload);
    let response = layer()
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (500, 1));
}
