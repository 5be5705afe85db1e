//! What callers ask of the cache, call by call.

use llm_exchange::Refusal;

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn a_caller_may_ask_for_a_call_to_be_cached_and_for_how_old_an_answer() {
    let script = Script::new().then_always(answered);
    let layer = layer();
    let ask = async |control: &str| ask(&layer, &script, controlled(WARM, control)).await;
    assert_eq!(ask("max-age=60").await.cache(), "miss");
    tokio::time::advance(SECOND * 30).await;
    assert_eq!(ask("max-age=60").await.cache(), "hit");
    assert_eq!(ask("max-age=30").await.cache(), "miss");
    assert_eq!(ask("max-age=0").await.cache(), "miss");
    // never older than the layer's own time
    tokio::time::advance(SECOND * 3600).await;
    assert_eq!(ask("max-age=99999999").await.cache(), "miss");
}

#[tokio::test(start_paused = true)]
async fn no_store_neither_reads_nor_writes_and_no_cache_only_writes() {
    let script = Script::new().then_always(answered);
    let layer = layer();
    let ask = async |control: &str| ask(&layer, &script, controlled(CHAT, control)).await;
    assert_eq!(ask("no-store").await.cache(), "bypass");
    assert_eq!(ask("x").await.cache(), "miss");
    assert_eq!(ask("no-store").await.cache(), "bypass");
    tokio::time::advance(SECOND * 100).await;
    assert_eq!(ask("no-cache").await.cache(), "miss");
    let hit = ask("x").await;
    assert_eq!((hit.cache(), hit.header("age")), ("hit", Some("0")));
    assert_eq!(script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_makes_no_call() {
    let script = Script::new().then(answered());
    let layer = layer();
    for body in [CHAT, WARM] {
        let got = ask(&layer, &script, controlled(body, "only-if-cached")).await;
        assert_eq!((got.response.status().as_u16(), got.cache()), (504, "miss"));
        assert_eq!(Refusal::of(&got.response).unwrap().layer(), "cache");
        assert!(got.text.contains("not_cached"), "{}", got.text);
    }
    assert_eq!(script.calls(), 0);
    ask(&layer, &script, post(CHAT)).await;
    let got = ask(&layer, &script, controlled(CHAT, "only-if-cached")).await;
    assert_eq!((got.response.status().as_u16(), got.cache()), (200, "hit"));
}
