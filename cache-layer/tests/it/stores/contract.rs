//! What every store keeps.

use std::time::Duration;

use cache_layer::{CacheLayer, MemoryStore, Store, Tiered};
use llm_exchange::User;

use crate::common::*;

/// A call by this user, of this prompt.
fn by(user: &str, model: &str, prompt: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let body = STREAMED.replace("gpt-6-sol", model).replace("hi", prompt);
    let mut request = post(&body);
    request.extensions_mut().insert(User::new(user));
    request
}

fn script() -> Script {
    Script::new().then_always(|| Answer::sse([ROLE, HEL, LO, STOP, USAGE, DONE]))
}

/// Asks until it is a hit: a server has an entry a moment later.
async fn until_hit<St: Store>(
    layer: &CacheLayer<St>,
    request: impl Fn() -> http::Request<http_body_util::Full<bytes::Bytes>>,
) -> Got {
    let nobody = Script::new().then_always(|| Answer::json(599, "{}"));
    for _ in 0..500 {
        let got = ask(layer, &nobody, request()).await;
        if got.cache() == "hit" {
            return got;
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    panic!("never a hit");
}

async fn is_known<St: Store>(
    layer: &CacheLayer<St>,
    request: http::Request<http_body_util::Full<bytes::Bytes>>,
) -> bool {
    let nobody = Script::new().then_always(|| Answer::json(599, "{}"));
    ask(layer, &nobody, request).await.cache() == "hit"
}

pub(crate) async fn keeps_the_contract<St: Store>(store: St) {
    let layer = CacheLayer::new().store(store.clone());
    let all = [("a", "gpt-6-sol"), ("a", "gpt-6-luna"), ("b", "gpt-6-sol")];
    let streams = || {
        Script::new().then_always(|| {
            // each model answers as itself
            Answer::sse(
                [ROLE, HEL, LO, STOP, USAGE, DONE]
                    .map(|event| event.replace("gpt-6-sol-2026-09-01", "")),
            )
        })
    };
    let fill = async || {
        for (user, model) in all {
            ask(&layer, &streams(), by(user, model, "hi")).await;
            let got = until_hit(&layer, || by(user, model, "hi")).await;
            assert!(got.text.contains("Hel") && got.text.ends_with(DONE));
            assert!(!got.text.contains("usage"));
            assert_eq!(got.header("content-type"), Some("text/event-stream"));
        }
    };
    let known = async || {
        let mut known = Vec::new();
        for (user, model) in all {
            known.push(is_known(&layer, by(user, model, "hi")).await);
        }
        known
    };
    let handle = layer.handle();

    fill().await;
    assert!(!is_known(&layer, by("a", "gpt-6-sol", "ho")).await);
    // another layer on the same store, with the same secret or in the same process
    if store.secret().is_some() {
        let other = CacheLayer::new().store(store.clone());
        assert!(is_known(&other, by("a", "gpt-6-sol", "hi")).await);
        assert!(!is_known(&other, by("c", "gpt-6-sol", "hi")).await);
    }

    handle.remove_user(&User::new("b")).await.unwrap();
    assert_eq!(known().await, [true, true, false]);
    fill().await;
    handle.remove_model("gpt-6-sol").await.unwrap();
    assert_eq!(known().await, [false, true, false]);
    fill().await;
    handle.remove_tenant_of(&post("")).await.unwrap();
    assert_eq!(known().await, [false, false, false]);
    fill().await;
    handle.remove_all().await.unwrap();
    assert_eq!(known().await, [false, false, false]);
    fill().await;
    let got = until_hit(&layer, || by("a", "gpt-6-luna", "hi")).await;
    let key = cache_layer::Cached::of(&got.response).unwrap().key.unwrap();
    handle.remove(key).await.unwrap();
    assert_eq!(known().await, [true, false, true]);
    drop(script());
}

#[tokio::test]
async fn memory() {
    keeps_the_contract(MemoryStore::new(1 << 20)).await;
}

#[tokio::test]
async fn two_tiers_of_memory() {
    keeps_the_contract(Tiered::new(
        MemoryStore::new(1 << 20),
        MemoryStore::new(1 << 24),
    ))
    .await;
}
