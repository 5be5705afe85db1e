//! Two stores, one before the other.

use cache_layer::{MemoryStore, Store, Tiered};

use crate::{common::*, embedder::*};

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

#[tokio::test(start_paused = true)]
async fn of_two_answers_past_their_time_the_newer_one_is_served() {
    let script = Script::new()
        .then(answered())
        .then(Answer::json(200, ANSWER.replace("Hello", "Newer")))
        .then_always(throttled);
    let (near, far) = (MemoryStore::new(1 << 20), MemoryStore::new(1 << 20));
    let shared = layer().shared_by_everybody().ttl(SECOND * 100);
    let layer = shared.stale_if_error(SECOND * 1000);
    ask(&layer.clone().store(far.clone()), &script, post(CHAT)).await;
    tokio::time::advance(SECOND * 200).await;
    // the farther one was not reached
    ask(&layer.clone().store(near.clone()), &script, post(CHAT)).await;
    tokio::time::advance(SECOND * 200).await;
    let both = layer.store(Tiered::new(near, far));
    for _ in 0..2 {
        let got = ask(&both, &script, post(CHAT)).await;
        assert_eq!(got.cache(), "stale");
        assert!(got.text.contains("Newer"));
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_the_farther_store_is_asked_for_what_the_nearer_has_not() {
    let provider = Provider::default();
    let (near, far) = (MemoryStore::new(1 << 20), MemoryStore::new(1 << 20));
    let shared = layer().shared_by_everybody();
    asks(
        &shared.clone().store(near.clone()),
        &provider,
        &of(vec!["a", "b"]),
    )
    .await;
    asks(
        &shared.clone().store(far.clone()),
        &provider,
        &of(vec!["b", "c"]),
    )
    .await;
    provider.asked();
    let both = shared.store(Tiered::new(near.clone(), far));
    let request = of(vec!["c", "a", "d", "b"]);
    let got = asks(&both, &provider, &request).await;
    assert_eq!(parts(&got).0, expected(&request));
    assert_eq!(provider.asked(), [["d"]]);
    assert_eq!(near.size().entries, 4);
}
