//! Two stores, one before the other.

use cache_layer::{MemoryStore, Store, Tiered};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn what_the_farther_store_has_is_kept_in_the_nearer_too() {
    let script = Script::new().then_always(answered);
    let (near, far) = (MemoryStore::new(1 << 20), MemoryStore::new(1 << 20));
    let shared = layer().shared_by_everybody();
    let by_far = shared.clone().store(far.clone());
    let both = shared.store(Tiered::new(near.clone(), far));
    ask(&by_far, &script, post(CHAT)).await;
    assert_eq!(near.size().entries, 0);
    assert_eq!(ask(&both, &script, post(CHAT)).await.cache(), "hit");
    assert_eq!(near.size().entries, 1);
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_newer_answer_of_the_farther_store_is_not_hidden_by_an_old_one() {
    let script = Script::new()
        .then(answered())
        .then(Answer::json(200, ANSWER.replace("Hello", "Newer")));
    let (near, far) = (MemoryStore::new(1 << 20), MemoryStore::new(1 << 20));
    let layer = layer().ttl(SECOND * 100).stale_if_error(SECOND * 1000);
    let both = layer.clone().store(Tiered::new(near, far.clone()));
    ask(&both, &script, post(CHAT)).await;
    tokio::time::advance(SECOND * 200).await;
    // another process refreshes it
    ask(&layer.store(far), &script, post(CHAT)).await;
    let got = ask(&both, &script, post(CHAT)).await;
    assert_eq!(got.cache(), "hit");
    assert!(got.text.contains("Newer"));
}
