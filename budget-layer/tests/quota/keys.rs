//! Whose limits they are.

use http::{HeaderValue, Request};
use http_body_util::Full;

use crate::common::*;

async fn held(first: Request<Full<bytes::Bytes>>, second: Request<Full<bytes::Bytes>>) -> bool {
    let script = Script::new().then(throttled(60_000)).then_always(answered);
    let service = service(&ProviderQuotaLayer::new(), &script);
    assert_eq!(call(&service, first).await.0, 429);
    call(&service, second).await.0 == 429
}

fn with(name: &'static str, value: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = chat();
    request
        .headers_mut()
        .insert(name, HeaderValue::from_str(value).unwrap());
    request
}

#[tokio::test(start_paused = true)]
async fn another_authority_model_or_credential_has_limits_of_its_own() {
    assert!(held(chat(), chat()).await);
    let elsewhere = post("https://eu.api.example/v1/chat/completions", CHAT);
    assert!(!held(chat(), elsewhere).await);
    let other = post(
        "https://api.example/v1/chat/completions",
        &CHAT.replace("sol", "luna"),
    );
    assert!(!held(chat(), other).await);
    assert!(!held(chat(), with("authorization", "Bearer sk-other")).await);
    assert!(!held(chat(), with("openai-project", "another")).await);
    // what is no credential makes no difference
    assert!(held(chat(), with("x-request-id", "2")).await);
}

#[tokio::test(start_paused = true)]
async fn a_signature_anew_for_each_call_is_the_same_credential() {
    let signed = |key: &str, signature: &str| {
        let value =
            format!("AWS4-HMAC-SHA256 Credential={key}/20261125/us/bedrock, Signature={signature}");
        let mut request = with("authorization", &value);
        request
            .headers_mut()
            .insert("x-amz-date", HeaderValue::from_str(signature).unwrap());
        request
    };
    assert!(held(signed("AKID", "1"), signed("AKID", "2")).await);
    assert!(!held(signed("AKID", "1"), signed("AKIE", "1")).await);
}

#[tokio::test(start_paused = true)]
async fn the_handle_shows_what_is_held_back_and_no_credential_and_opens_it() {
    let script = Script::new().then(throttled(60_000)).then_always(answered);
    let layer = ProviderQuotaLayer::new();
    let (handle, service) = (layer.handle(), service(&layer, &script));
    assert!(handle.held().is_empty());
    let first = post(
        "https://name:sk-canary@api.example/v1/chat/completions?key=sk-canary",
        CHAT,
    );
    call(&service, first.clone()).await;
    let held = handle.held();
    assert_eq!(held.len(), 1);
    assert_eq!(
        (&*held[0].authority, held[0].model.as_deref()),
        ("api.example", Some("gpt-6-sol"))
    );
    assert_eq!((held[0].opens_in, held[0].waiting), (Some(SECOND * 60), 0));
    for debug in [format!("{handle:?}"), format!("{layer:?}")] {
        assert!(
            !debug.contains("canary") && !debug.contains("sk-"),
            "{debug}"
        );
    }
    handle.open();
    assert_eq!(call(&service, first).await, (200, AT_ONCE));
    assert!(handle.held().is_empty());
}

#[tokio::test(start_paused = true)]
async fn opening_lets_those_who_wait_go() {
    let script = Script::new().then(throttled(9_000)).then_always(answered);
    let layer = ProviderQuotaLayer::new();
    let (handle, service) = (layer.handle(), service(&layer, &script));
    call(&service, chat()).await;
    let (one, ()) = tokio::join!(call(&service, chat()), async {
        sleep(SECOND).await;
        assert_eq!(handle.held()[0].waiting, 1);
        handle.open();
    });
    assert_eq!(one.0, 200);
    assert!(one.1 < SECOND + SECOND / 10);
}

#[tokio::test(start_paused = true)]
async fn no_more_keys_are_known_than_set() {
    let script = Script::new().then_always(|| throttled(60_000));
    let layer = ProviderQuotaLayer::new().max_keys(3);
    let (handle, service) = (layer.handle(), service(&layer, &script));
    let ask = |n: u32| with("authorization", &format!("Bearer sk-{n}"));
    for n in 0..20 {
        call(&service, ask(n)).await;
        assert!(handle.held().len() <= 3);
    }
    // the newest is known, and is answered without being sent
    assert_eq!(script.calls(), 20);
    call(&service, ask(19)).await;
    assert_eq!(script.calls(), 20);
    // when their time is over they make room all at once
    advance(SECOND * 61).await;
    call(&service, ask(30)).await;
    assert_eq!(handle.held().len(), 1);
}
