//! Nobody is given anybody else's answer.

use cache_layer::CacheLayer;
use http::{HeaderName, Request};
use llm_exchange::User;
use proptest::prelude::*;

use crate::common::*;

const PLACES: [&str; 9] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "openai-organization",
    "openai-project",
    "anthropic-workspace-id",
    "cookie",
    "?key",
];

fn by(place: &str, value: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = post(CHAT);
    request.headers_mut().remove("authorization");
    if place == "?key" {
        let uri = format!("https://api.example/v1/chat/completions?key={value}");
        *request.uri_mut() = uri.parse().unwrap();
    } else {
        let name = HeaderName::from_bytes(place.as_bytes()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

#[tokio::test(start_paused = true)]
async fn whichever_header_carries_the_credential_two_tenants_share_nothing() {
    for place in PLACES {
        let script = Script::new().then_always(answered);
        let layer = layer();
        assert_eq!(
            ask(&layer, &script, by(place, "one")).await.cache(),
            "miss",
            "{place}"
        );
        assert_eq!(
            ask(&layer, &script, by(place, "other")).await.cache(),
            "miss",
            "{place}"
        );
        assert_eq!(
            ask(&layer, &script, by(place, "one")).await.cache(),
            "hit",
            "{place}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn users_are_kept_apart_and_who_is_unknown_is_not_cached() {
    let script = Script::new().then_always(answered);
    let layer = layer();
    let by = |user: Option<&str>| {
        let mut request = post(CHAT);
        request.headers_mut().remove("authorization");
        if let Some(user) = user {
            request.extensions_mut().insert(User::new(user));
        }
        request
    };
    assert_eq!(ask(&layer, &script, by(Some("a"))).await.cache(), "miss");
    assert_eq!(ask(&layer, &script, by(Some("b"))).await.cache(), "miss");
    assert_eq!(ask(&layer, &script, by(Some("a"))).await.cache(), "hit");
    assert_eq!(ask(&layer, &script, by(None)).await.cache(), "bypass");
    layer.handle().remove_user(&User::new("a")).await.unwrap();
    assert_eq!(ask(&layer, &script, by(Some("b"))).await.cache(), "hit");
    assert_eq!(ask(&layer, &script, by(Some("a"))).await.cache(), "miss");

    let everybody = CacheLayer::new().shared_by_everybody();
    assert_eq!(ask(&everybody, &script, by(None)).await.cache(), "miss");
    assert_eq!(ask(&everybody, &script, by(Some("a"))).await.cache(), "hit");
    assert_eq!(ask(&everybody, &script, post(CHAT)).await.cache(), "hit");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Two tenants fire calls at one cache; an answer is made for each by its own upstream.
    #[test]
    fn two_tenants_fuzzed_against_each_other_see_only_their_own(
        calls in proptest::collection::vec((any::<bool>(), 0usize..PLACES.len(), 0u8..3), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let layer = CacheLayer::new();
            let tenants = ["one", "two"].map(|tenant| {
                let answer = ANSWER.replace("Hello", tenant);
                (tenant, Script::new().then_always(move || Answer::json(200, answer.clone())))
            });
            for (which, place, prompt) in calls {
                let (tenant, script) = &tenants[usize::from(which)];
                let body = CHAT.replace("hi", &prompt.to_string());
                let mut request = by(PLACES[place], tenant);
                *request.body_mut() = body.into();
                let got = ask(&layer, script, request).await;
                assert!(got.text.contains(tenant), "{} of {tenant}", got.text);
            }
        });
    }
}
