//! A Redis server that goes, or stands still, while lookups and writes are under way.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant},
};

use cache_layer::{CacheLayer, RedisStore};
use futures_util::future::join_all;

use super::server::{Server, now};
use crate::{common::*, embedder::*};

/// No lookup takes longer than 50 ms. The rest of it is what a busy machine takes.
const BOUND: Duration = Duration::from_millis(600);

struct Call {
    began: Instant,
    took: Duration,
    cache: String,
}

/// Makes calls until it is told to stop: some that are known, some that are new and are written, and
/// batches that are both.
async fn calls(layer: &CacheLayer<RedisStore>, caller: usize, stop: &AtomicBool) -> Vec<Call> {
    let script = Script::new().then_always(answered);
    let provider = Provider::default();
    let mut calls = Vec::new();
    for number in 0_usize.. {
        if stop.load(SeqCst) {
            break;
        }
        let began = now();
        let got = match number % 3 {
            2 => {
                let request = of(vec!["known".to_owned(), format!("{caller} {number}")]);
                let got = asks(layer, &provider, &request).await;
                assert_eq!(parts(&got).0, expected(&request));
                got
            }
            kind => {
                let prompt = if kind == 0 {
                    "hi".to_owned()
                } else {
                    format!("{caller} {number}")
                };
                let got = ask(layer, &script, post(&CHAT.replace("hi", &prompt))).await;
                assert_eq!(got.text, ANSWER);
                got
            }
        };
        calls.push(Call {
            began,
            took: began.elapsed(),
            cache: got.cache().to_owned(),
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    calls
}

async fn until_known(layer: &CacheLayer<RedisStore>) {
    let script = Script::new().then_always(answered);
    let start = now();
    while ask(layer, &script, post(CHAT)).await.cache() != "hit" {
        assert!(start.elapsed() < SECOND * 30, "the store never came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Calls go on while this is done to the server.
async fn strike<F: Future>(
    layer: &CacheLayer<RedisStore>,
    strike: impl FnOnce() -> F,
) -> F::Output {
    until_known(layer).await;
    let stop = AtomicBool::new(false);
    let callers = join_all((0..16).map(|caller| calls(layer, caller, &stop)));
    let ((struck, at), callers) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let struck = strike().await;
            let at = now();
            tokio::time::sleep(Duration::from_millis(700)).await;
            stop.store(true, SeqCst);
            (struck, at)
        },
        callers
    );
    let (mut hits, mut during, mut after) = (0, 0, 0);
    for call in callers.into_iter().flatten() {
        assert!(call.took < BOUND, "{} took {:?}", call.cache, call.took);
        if call.began > at {
            after += 1;
            assert_ne!(call.cache, "hit");
        } else {
            during += usize::from(call.began + call.took > at);
            hits += usize::from(call.cache == "hit");
        }
    }
    assert!(hits > 16 && after > 16, "{hits} before, {after} after");
    println!("{hits} hits before, {during} under way, {after} calls after");
    struck
}

#[tokio::test]
async fn calls_under_way_when_the_server_is_killed_are_misses_within_the_bound_and_it_comes_back() {
    let Some(server) = Server::start().await else {
        return;
    };
    let layer = CacheLayer::new().store(server.store());
    let port = strike(&layer, || server.kill()).await;
    let _server = Server::start_at(port).await.unwrap();
    until_known(&layer).await;
}

#[tokio::test]
async fn calls_under_way_when_the_server_stands_still_are_misses_within_the_bound_and_it_goes_on() {
    let Some(server) = Server::start().await else {
        return;
    };
    let layer = CacheLayer::new().store(server.store());
    strike(&layer, || server.signal("STOP")).await;
    server.signal("CONT").await;
    until_known(&layer).await;
}
