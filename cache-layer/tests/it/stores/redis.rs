//! Against a real server.

use std::time::Duration;

use cache_layer::{CacheLayer, MemoryStore, RedisStore, Tiered};

use super::{
    contract::keeps_the_contract,
    server::{SECRET, Server, now},
};
use crate::{common::*, embedder::*};

#[tokio::test]
async fn redis() {
    let Some(server) = Server::start().await else {
        return;
    };
    keeps_the_contract(server.patient()).await;
}

#[tokio::test]
async fn memory_before_redis() {
    let Some(server) = Server::start().await else {
        return;
    };
    keeps_the_contract(Tiered::new(MemoryStore::new(1 << 20), server.patient())).await;
}

#[tokio::test]
async fn who_does_not_know_the_secret_finds_nothing_and_names_tell_nothing() {
    let Some(server) = Server::start().await else {
        return;
    };
    let script = Script::new().then_always(answered);
    let layer = CacheLayer::new().store(server.store());
    ask(&layer, &script, post(CHAT)).await;
    let known = async || ask(&layer, &script, post(CHAT)).await.cache() == "hit";
    while !known().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let other = RedisStore::new(&server.url(), b"another secret, as long").unwrap();
    let other = CacheLayer::new().store(other);
    assert_eq!(ask(&other, &script, post(CHAT)).await.cache(), "miss");

    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let names: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(!names.is_empty());
    for name in names {
        let hash = name.strip_prefix("llm-cache:").unwrap();
        assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let left: i64 = redis::cmd("PTTL")
            .arg(&name)
            .query_async(&mut connection)
            .await
            .unwrap();
        assert!((1..=3_600_000).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn no_entry_outlives_the_removals_that_are_remembered() {
    let Some(server) = Server::start().await else {
        return;
    };
    let layer = CacheLayer::new().store(server.patient());
    let layer = layer.ttl(Duration::from_secs(30 * 24 * 3600));
    let script = Script::new().then_always(answered);
    while ask(&layer, &script, post(CHAT)).await.cache() != "hit" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    layer.handle().remove_all().await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut left = Vec::new();
    for name in redis::cmd("KEYS")
        .arg("*")
        .query_async::<Vec<String>>(&mut connection)
        .await
        .unwrap()
    {
        let mut time = redis::cmd("PTTL");
        let time = time.arg(&name).query_async::<i64>(&mut connection);
        let time = time.await.unwrap();
        left.push((name == "llm-cache:g", time));
    }
    left.sort_unstable();
    let [(false, entry), (true, removal)] = left[..] else {
        panic!("{left:?}");
    };
    assert!(0 < entry && entry <= removal, "{entry} and {removal}");
}

#[tokio::test]
async fn a_large_batch_of_texts_is_kept_and_known_text_by_text_and_an_outage_is_its_miss() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (layer, provider) = (
        CacheLayer::new().store(server.patient()),
        Provider::default(),
    );
    let texts: Vec<String> = (0..2048).map(|number| format!("text {number}")).collect();
    asks(&layer, &provider, &of(texts.clone())).await;
    assert_eq!(layer.handle().stats().not_kept, 0);
    // the last one is written last
    while asks(&layer, &provider, &of(texts[2047].clone()))
        .await
        .cache()
        != "hit"
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    provider.asked();
    let mut more = texts[..300].to_vec();
    more.push("another".to_owned());
    let lookups = server.commands("mget").await;
    let got = asks(&layer, &provider, &of(more.clone())).await;
    assert_eq!(parts(&got).0, expected(&of(more.clone())));
    let asked = provider.asked();
    assert_eq!(asked, [["another"]]);
    // in one round trip
    assert_eq!(server.commands("mget").await, lookups + 1);

    server.kill().await;
    let start = now();
    let got = asks(&layer, &provider, &of(more.clone())).await;
    assert_eq!((got.cache(), parts(&got).0), ("miss", expected(&of(more))));
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn an_outage_is_a_miss_within_a_bound_and_is_over_when_the_server_is_back() {
    let Some(server) = Server::start().await else {
        return;
    };
    let script = Script::new().then_always(answered);
    let store = server.store();
    let layer = CacheLayer::new().store(store);
    let ask = async || {
        let start = now();
        let got = ask(&layer, &script, post(CHAT)).await;
        assert_eq!(got.text, ANSWER);
        (got.cache().to_owned(), start.elapsed())
    };
    while ask().await.0 != "hit" {}
    let port = server.kill().await;
    // the first to notice waits for the bound at most, the next ones not at all
    for number in 0..50 {
        let (cache, took) = ask().await;
        assert_eq!(cache, "miss");
        let bound = Duration::from_millis(if number == 0 { 400 } else { 200 });
        assert!(took < bound, "call {number} took {took:?}");
    }
    let _server = Server::start_at(port).await.unwrap();
    let start = now();
    while ask().await.0 != "hit" {
        assert!(start.elapsed() < SECOND * 20, "the store never came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_miss_within_the_bound() {
    // it takes connections and says nothing
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let held = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            all.push(connection);
        }
    });
    let store = RedisStore::with(&url, SECRET, "x:", Duration::from_millis(30)).unwrap();
    let layer = CacheLayer::new().store(store);
    let script = Script::new().then_always(answered);
    for _ in 0..5 {
        let start = now();
        assert_eq!(ask(&layer, &script, post(CHAT)).await.cache(), "miss");
        assert!(
            start.elapsed() < Duration::from_millis(500),
            "{:?}",
            start.elapsed()
        );
    }
    let failed = layer.handle().remove_all().await;
    assert!(failed.is_err());
    held.abort();
}

#[test]
fn what_can_be_no_store_is_told_and_no_password_with_it() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    for (url, secret, why) in [
        ("http://u:canary@h", SECRET, "no redis:// address"),
        ("redis://h", b"short".as_slice(), "fewer than 16 bytes"),
    ] {
        let error = RedisStore::new(url, secret).unwrap_err();
        assert!(error.to_string().contains(why) && !format!("{error:?}").contains("canary"));
    }
    let store = RedisStore::new("redis://u:canary@h", SECRET).unwrap();
    assert!(!format!("{store:?}").contains("canary"));
}
