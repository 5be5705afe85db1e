//! What a target is sent.

use std::convert::Infallible;

use crate::common::*;
use fallback_layer::{Chain, Chains, FallbackLayer, Target};
use http::{HeaderName, HeaderValue, Request, Response};
use llm_exchange::Payload;
use testkit::Seen;
use tower::service_fn;

/// What the second target is sent when the first one fails.
async fn second(target: Target, request: Request<http_body_util::Full<bytes::Bytes>>) -> Seen {
    let script = script().then(Answer::status(500)).then(answered());
    let layer = FallbackLayer::new(Chain::of("a").then(target)).unwrap();
    layer.layer(script.clone()).oneshot(request).await.unwrap();
    script.seen().remove(1)
}

fn body(seen: &Seen) -> &str {
    std::str::from_utf8(seen.body.as_ref().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_the_model_changes_where_only_the_model_differs() {
    let text = "{ \"model\" : \"a\", \"n\":1.0e0,\n\"messages\":[] }";
    let mut request = post("https://api.example/v1/chat/completions?x=%20", text);
    request.headers_mut().append("x-many", "1".parse().unwrap());
    request.headers_mut().append("x-many", "2".parse().unwrap());
    let seen = second(Target::model("much-longer"), request).await;
    assert_eq!(body(&seen), text.replace("\"a\"", "\"much-longer\""));
    assert_eq!(
        seen.headers["content-length"],
        body(&seen).len().to_string()
    );
    assert_eq!(seen.headers["authorization"], "Bearer sk-callers");
    assert_eq!(seen.headers.get_all("x-many").iter().count(), 2);
    assert_eq!(seen.headers["x-llm-attempt"], "2");
    assert_eq!(seen.uri, "https://api.example/v1/chat/completions?x=%20");
}

#[tokio::test(start_paused = true)]
async fn the_callers_credential_stays_where_it_was_going() {
    for (url, credential) in [
        ("https://api.example", Some("Bearer sk-callers")),
        ("https://b.example", None),
    ] {
        let target = Target::model("b").at(url).callers_credential_there();
        let seen = second(target, openai("a")).await;
        assert_eq!(seen.uri, format!("{url}/v1/chat/completions").as_str());
        let there = seen.headers.get("authorization");
        assert_eq!(there.map(|value| value.to_str().unwrap()), credential);
    }
}

#[tokio::test(start_paused = true)]
async fn no_credential_of_the_caller_reaches_another_host() {
    let request = || {
        let mut request = post(
            "https://api.example/openai/v1/chat/completions?key=canary&api-version=1",
            r#"{"model":"a"}"#,
        );
        for name in [
            "authorization",
            "api-key",
            "x-api-key",
            "x-goog-api-key",
            "openai-organization",
            "openai-project",
            "anthropic-workspace-id",
            "anthropic-user-profile-id",
            "cookie",
            "x-goog-user-project",
            "x-amz-security-token",
            "host",
        ] {
            let canary = HeaderValue::from_static("canary");
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), canary);
        }
        request
    };
    for url in [
        "http://api.example",
        "https://api.example:8443",
        "https://b.example",
    ] {
        let keyed = Target::model("b").at(url).credential("sk-ours");
        let seen = second(keyed, request()).await;
        assert_eq!(seen.headers["authorization"], "Bearer sk-ours");
        assert!(!format!("{seen:?}").contains("canary"), "{seen:?}");
        let place = format!("{url}/v1/chat/completions?api-version=1");
        assert_eq!(seen.uri, place.as_str());
        let open = Target::model("b").at(url).without_credential();
        let seen = second(open, request()).await;
        assert_eq!(seen.headers.get("authorization"), None);
        assert!(!format!("{seen:?}").contains("canary"), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_of_its_own_replaces_the_callers_on_the_same_host_too() {
    let azure = HeaderName::from_static("api-key");
    let target = Target::model("a").credential_header(azure, "ours");
    let seen = second(target, openai("a")).await;
    assert_eq!(seen.headers["api-key"], "ours");
    assert_eq!(seen.headers.get("authorization"), None);
    let target = Target::model("b")
        .at("https://b.example")
        .credential("ours");
    let seen = second(target, anthropic("a")).await;
    assert_eq!(seen.headers["x-api-key"], "ours");
    assert_eq!(seen.uri, "https://b.example/v1/messages");
}

#[tokio::test(start_paused = true)]
async fn every_dialect_is_sent_on_in_its_own_way() {
    let host = "https://b.example";
    for (path, body, at, key) in [
        (
            "/v1/responses",
            r#"{"model":"a","input":"hi"}"#,
            "/v1/responses",
            "authorization",
        ),
        (
            "/v1/messages",
            r#"{"model":"a","messages":[]}"#,
            "/v1/messages",
            "x-api-key",
        ),
        (
            "/v1/embeddings",
            r#"{"model":"a","input":"hi"}"#,
            "/v1/embeddings",
            "authorization",
        ),
        (
            "/api/chat",
            r#"{"model":"a","messages":[]}"#,
            "/api/chat",
            "authorization",
        ),
        (
            "/v1beta/models/a:streamGenerateContent?alt=sse&key=canary",
            r#"{"contents":[]}"#,
            "/v1beta/models/b:streamGenerateContent?alt=sse",
            "x-goog-api-key",
        ),
    ] {
        let request = post(&format!("https://api.example{path}"), body);
        let seen = second(Target::model("b").at(host).credential("ours"), request).await;
        assert_eq!(seen.uri, format!("{host}{at}").as_str());
        assert_eq!(seen.body.unwrap(), body.replace("\"a\"", "\"b\""));
        assert!(
            seen.headers[key].to_str().unwrap().ends_with("ours"),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_and_headers_of_a_target_replace_the_callers() {
    let text = r#"{"model":"a","temperature":1, "logprobs":true,"messages":[]}"#;
    let target = Target::model("b")
        .parameter("temperature", 0.5)
        .parameter("stop", ["\n"])
        .without_parameter("logprobs")
        .without_parameter("absent")
        .header(
            HeaderName::from_static("anthropic-beta"),
            HeaderValue::from_static("x"),
        );
    let request = post("https://api.example/v1/chat/completions", text);
    let seen = second(target, request).await;
    let changed = r#"{"stop":["\n"],"model":"b","temperature":0.5, "messages":[]}"#;
    assert_eq!(body(&seen), changed);
    assert_eq!(seen.headers["content-length"], changed.len().to_string());
    assert_eq!(seen.headers["anthropic-beta"], "x");
}

#[tokio::test(start_paused = true)]
async fn the_first_target_may_differ_from_the_call_too() {
    let chain = Chain::for_model("smart").then("a").then("b");
    let layer = FallbackLayer::new(chain).unwrap();
    let script = script().then(Answer::status(500)).then(answered());
    let response = layer
        .layer(script.clone())
        .oneshot(openai("smart"))
        .await
        .unwrap();
    assert_eq!(asked(&script), ["a", "b"]);
    assert_eq!(header(&response, "x-llm-model"), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_signed_call_goes_only_where_it_was_going() {
    let mut request = openai("a");
    let signature = "AWS4-HMAC-SHA256 Credential=x".parse().unwrap();
    request.headers_mut().insert("authorization", signature);
    let script = script().then(Answer::status(500));
    let service = layer().layer(script.clone());
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(script.calls(), 1);
    assert_eq!(response.status(), 500);
    let signed = "skipped, the request is signed, so its body cannot be changed";
    assert_eq!(
        left(&response),
        [
            "a: failed (500)".to_owned(),
            format!("b: {signed}"),
            format!("c: {signed}")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_stands_twice_makes_its_target_be_skipped() {
    let text = r#"{"model":"a","seed":1,"seed":2,"messages":[]}"#;
    let chain = Chain::of("a")
        .then(Target::model("b").parameter("seed", 3))
        .then("c");
    let script = script().then(Answer::status(500)).then(answered());
    let request = post("https://api.example/v1/chat/completions", text);
    let layer = FallbackLayer::new(chain).unwrap();
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!(asked(&script), ["a", "c"]);
    assert_eq!(header(&response, "x-llm-attempts"), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_not_asked_for() {
    let mut request = openai("a");
    let brotli = HeaderValue::from_static("br");
    request.headers_mut().insert("accept-encoding", brotli);
    let seen = second(Target::model("b"), request).await;
    assert_eq!(seen.headers["accept-encoding"], "identity");
}

#[tokio::test(start_paused = true)]
async fn a_target_can_bring_a_service_of_its_own() {
    let own = script().then(answered());
    let inner = script().then_always(|| Answer::status(500));
    let chain = Chain::of("a")
        .then("b")
        .then(Target::model("llama3").via(own.clone()));
    let layer = FallbackLayer::new(chain).unwrap();
    let response = layer
        .layer(inner.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!(by(&response), Some("llama3"));
    assert_eq!(
        (asked(&inner), asked(&own)),
        (vec!["a".into(), "b".into()], vec!["llama3".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn services_of_several_types_go_into_one_layer_boxed() {
    type Own = tower::util::BoxCloneSyncService<Request<Payload>, Response<ScriptedBody>, BoxError>;
    let fails = service_fn(|_: Request<Payload>| async { Err(BoxError::from("reset")) });
    let own = script().then(answered());
    let chain = Chain::of(Target::model("a").via(Own::new(fails)))
        .then(Target::model("b").via(Own::new(own)))
        .then("c");
    let chains = Chains::new().default_chain(Chain::of("d")).chain(chain);
    let layer = FallbackLayer::new(chains).unwrap();
    let never = Script::new();
    let response = layer.layer(never).oneshot(openai("a")).await.unwrap();
    assert_eq!(by(&response), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_cannot_fail_stays_one_that_cannot_fail() {
    let script = Script::<Infallible, Infallible>::default()
        .then(Answer::status(500))
        .then(Answer::status(200));
    let response = layer().layer(script).oneshot(openai("a")).await;
    let Ok(response) = response;
    assert_eq!(response.status(), 200);
}
