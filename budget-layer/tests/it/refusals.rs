//! What callers are told.

use budget_layer::Limit;
use http::Request;
use http_body_util::Full;
use llm_exchange::{Refusal, User};
use serde_json::Value;

use crate::common::*;

async fn refused(request: Request<Full<bytes::Bytes>>) -> (http::HeaderMap, u16, String) {
    let layer = daily(100);
    let response = layer.layer(Script::new()).oneshot(request).await.unwrap();
    assert_eq!(Refusal::of(&response).unwrap().layer(), "budget-layer");
    let head = response.headers().clone();
    let status = response.status().as_u16();
    (head, status, text(response).await)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_shaped_as_the_callers_provider_would_shape_it() {
    let chat = format!("{{\"model\":\"m\",{PROMPT}}}");
    let capped = format!("{{\"model\":\"m\",\"max_tokens\":1000,{PROMPT}}}");
    let gemini = r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#;
    for (uri, body, code, message) in [
        (
            "https://a/v1/chat/completions",
            &*chat,
            "/error/code",
            "/error/message",
        ),
        (
            "https://a/v1/responses",
            r#"{"model":"m","input":"hi"}"#,
            "/error/code",
            "/error/message",
        ),
        (
            "https://a/v1/messages",
            &*capped,
            "/error/type",
            "/error/message",
        ),
        (
            "https://a/v1beta/models/g:generateContent",
            gemini,
            "/error/status",
            "/error/message",
        ),
        ("https://a/api/chat", &*chat, "/error", "/error"),
        (
            "https://a/model/x/converse",
            r#"{"messages":[]}"#,
            "/message",
            "/message",
        ),
    ] {
        let (head, status, text) = refused(post(uri, body)).await;
        assert_eq!(status, 429, "{uri}");
        let body: Value = serde_json::from_str(&text).unwrap();
        assert!(body.pointer(code).is_some(), "{uri}: {text}");
        let message = body.pointer(message).unwrap().as_str().unwrap();
        assert!(message.contains("user-day-tokens"), "{uri}: {text}");
        assert_eq!(head["x-should-retry"], "false");
        assert_eq!(head["x-llm-budget-exceeded"], DAY);
        assert_eq!(head["x-llm-budget-limit"], "100");
        assert_eq!(head["x-llm-budget-used"], "0");
        assert_eq!(head["x-llm-budget-remaining"], "user-day-tokens=100");
        assert_eq!(head["cache-control"], "no-store");
    }
}

#[tokio::test(start_paused = true)]
async fn over_grpc_it_is_a_status_in_a_head_without_a_body() {
    // a model, and a content with one text
    let message = b"\x0a\x0amodels/g-1\x12\x06\x0a\x04\x12\x02hi";
    let mut body = vec![0, 0, 0, 0, message.len() as u8];
    body.extend_from_slice(message);
    let path = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
    let mut request = Request::post(format!("https://a{path}"))
        .header("content-type", "application/grpc")
        .body(Full::from(body))
        .unwrap();
    request.extensions_mut().insert(User::new("alice"));
    let (head, status, text) = refused(request).await;
    assert_eq!((status, &*text), (200, ""));
    assert_eq!(head["grpc-status"], "8");
    assert_eq!(head["x-llm-budget-exceeded"], DAY);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_read_does_not_slip_through() {
    let chat = "https://a/v1/chat/completions";
    let good = format!("{{\"model\":\"m\",{PROMPT}}}");
    let twice = format!("{{\"model\":\"m\",\"max_tokens\":1,\"max_tokens\":90000,{PROMPT}}}");
    let with = |name: &'static str, value: &str, body: &str| {
        let mut request = post(chat, body);
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let large = format!(
        "{{\"model\":\"m\",\"x\":\"{}\",{PROMPT}}}",
        "y".repeat(2_000)
    );
    let cases = || {
        [
            (415, with("content-type", "text/plain", &good)),
            (415, with("content-encoding", "gzip", &good)),
            (400, post(chat, "{\"model\":")),
            (400, post(chat, &twice)),
            (413, post(chat, &large)),
        ]
    };
    let layer = daily(100_000).max_payload_bytes(1_000);
    for (expected, request) in cases() {
        let script = Script::new();
        let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
        assert_eq!(Refusal::of(&response).unwrap().code(), "budget_unreadable");
        assert_eq!(script.calls(), 0);
    }
    assert_eq!(layer.handle().stats().refused, 5);
    let layer = layer.allow_unreadable();
    for (_, request) in cases() {
        assert_eq!(ask(&layer, answered(), request).await, 200);
    }
    // in shadow they pass, too
    let layer = daily(100_000).shadow();
    assert_eq!(ask(&layer, answered(), post(chat, "{")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn where_no_cap_can_be_written_nothing_is_sent_and_nothing_stays_reserved() {
    let gemini = "https://a/v1beta/models/g:generateContent";
    for config in ["null", "[]", "7"] {
        let body = format!("{{\"contents\":[],\"generationConfig\":{config}}}");
        let layer = daily(100_000);
        let script = Script::new().then_always(answered).collect_bodies();
        let response = layer
            .layer(script.clone())
            .oneshot(post(gemini, &body))
            .await
            .unwrap();
        let sent = script.seen().first().map(|seen| seen.body.clone().unwrap());
        let told = sent.is_some_and(|body| {
            let body: Value = serde_json::from_slice(&body).unwrap();
            body["generationConfig"]["maxOutputTokens"] == 4_096
        });
        assert!(
            told || response.status() == 400,
            "{config}: {}",
            response.status()
        );
        text(response).await;
        assert_eq!(alice(&layer.handle()).await.1, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_broke_is_no_call_and_is_passed_on() {
    let layer = daily(100_000);
    let script = Script::new().then(Answer::status(418));
    let request = chat("").map(|_| ScriptedBody::new().data("{\"model\"").error("reset"));
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 418);
    assert_eq!(alice(&layer.handle()).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn no_prompt_and_no_credential_is_in_what_is_told() {
    let layer = daily(100).limit(Limit::per_key().daily().tokens(100));
    let body = r#"{"model":"m","messages":[{"role":"user","content":"canary"}]}"#;
    let request = post("https://u:canary@a/v1/chat/completions?key=canary", body);
    let response = layer.layer(Script::new()).oneshot(request).await.unwrap();
    let told = format!("{:?} {:?} {:?}", response, layer, layer.handle());
    assert!(!told.contains("canary"), "{told}");
    assert!(!text(response).await.contains("canary"));
}
