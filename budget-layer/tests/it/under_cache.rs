//! Beneath a cache.

use std::{sync::Arc, time::SystemTime};

use cache_layer::CacheLayer;
use llm_exchange::WallClock;
use tokio::time::Instant;

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn a_new_answer_that_the_cache_gets_by_itself_is_charged_to_whom_it_is_got_for() {
    let layer = daily(9_000);
    let handle = layer.handle();
    let (start, base) = (
        Instant::now(),
        SystemTime::UNIX_EPOCH + SECOND * 1_700_000_000,
    );
    let clock = WallClock::from_fn(Arc::new(move || base + start.elapsed()));
    let cache = CacheLayer::new()
        .all()
        .clock(clock)
        .ttl(SECOND * 10)
        .stale_while_revalidate(SECOND * 100);
    let script = Script::new()
        .then(answered())
        .then(answered().after(SECOND));
    let stack = cache.layer(layer.layer(script.clone()));
    text(stack.clone().oneshot(chat("")).await.unwrap()).await;
    assert_eq!(alice(&handle).await, (150, 0));
    tokio::time::sleep(SECOND * 20).await;
    text(stack.oneshot(chat("")).await.unwrap()).await;
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!((script.calls(), alice(&handle).await), (2, (300, 0)));
}
