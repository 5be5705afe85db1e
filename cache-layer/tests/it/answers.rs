//! Answers that are known are served, whole and marked.

use cache_layer::{CacheStatus, Cached};
use llm_exchange::{FromCache, Money, Purchase};
use tower::{Layer, Service, ServiceExt};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn the_second_call_is_answered_without_a_call_byte_for_byte() {
    let script = Script::new().then(answered().after(SECOND * 3));
    let layer = layer();
    let first = ask(&layer, &script, post(CHAT)).await;
    assert_eq!((first.cache(), first.header("age")), ("miss", None));
    assert_eq!(FromCache::of(&first.response), None);
    tokio::time::advance(SECOND * 7).await;
    let second = ask(&layer, &script, post(CHAT)).await;
    assert_eq!(second.text, ANSWER);
    assert_eq!((second.cache(), second.header("age")), ("hit", Some("7")));
    assert_eq!(FromCache::of(&second.response), Some(FromCache::Hit));
    let cached = Cached::of(&second.response).unwrap();
    assert_eq!(
        (cached.status, cached.age),
        (CacheStatus::Hit, Some(SECOND * 7))
    );
    assert_eq!(cached.key, Cached::of(&first.response).unwrap().key);
    assert_eq!(second.header("content-type"), Some("application/json"));
    assert_eq!(
        second.header("content-length"),
        Some(&*ANSWER.len().to_string())
    );
    assert_eq!(second.header("x-request-id"), Some("req_1"));
    // what was true of the first answer alone
    for name in ["x-ratelimit-remaining-requests", "set-cookie"] {
        assert!(
            first.header(name).is_some() && second.header(name).is_none(),
            "{name}"
        );
    }
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_stored_as_it_passes_and_replayed_as_a_stream() {
    let script = Script::new().then(streamed());
    let layer = layer();
    let first = ask(&layer, &script, post(STREAMED)).await;
    let second = ask(&layer, &script, post(STREAMED)).await;
    assert_eq!((first.cache(), second.cache()), ("miss", "hit"));
    assert_eq!(first.text, without_usage());
    assert_eq!(second.text, without_usage());
    assert_eq!(second.header("content-type"), Some("text/event-stream"));
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn usage_is_asked_for_once_and_shown_to_who_asks() {
    let script = Script::new().collect_bodies().then(streamed());
    let layer = layer();
    ask(&layer, &script, post(STREAMED)).await;
    let sent = script.seen()[0].body.clone().unwrap();
    assert!(String::from_utf8_lossy(&sent).contains(r#""include_usage":true"#));
    let asks = STREAMED.replace(
        r#""stream":true"#,
        r#""stream":true,"stream_options":{"include_usage":true}"#,
    );
    let hit = ask(&layer, &script, post(&asks)).await;
    assert_eq!(hit.cache(), "hit");
    assert_eq!(hit.text, [ROLE, HEL, LO, STOP, USAGE, DONE].concat());
}

#[tokio::test(start_paused = true)]
async fn a_replayed_stream_can_be_paced() {
    let script = Script::new().then(streamed());
    let layer = layer().pace(SECOND);
    ask(&layer, &script, post(STREAMED)).await;
    let start = tokio::time::Instant::now();
    let hit = ask(&layer, &script, post(STREAMED)).await;
    assert_eq!(hit.text, without_usage());
    // five events, the first at once
    assert_eq!(start.elapsed(), SECOND * 4);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_deterministic_is_cached_unless_told_otherwise() {
    let script = Script::new().then_always(answered);
    let plain = layer();
    for _ in 0..2 {
        assert_eq!(ask(&plain, &script, post(WARM)).await.cache(), "bypass");
    }
    let all = layer().all();
    assert_eq!(ask(&all, &script, post(WARM)).await.cache(), "miss");
    assert_eq!(ask(&all, &script, post(WARM)).await.cache(), "hit");
    assert_eq!(script.calls(), 3);
    let stats = plain.handle().stats();
    assert_eq!(
        (stats.bypassed, stats.misses, stats.hit_rate()),
        (2, 0, 0.0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_llm_call_passes_untouched_and_unmarked() {
    let script = Script::new().collect_bodies().then(answered());
    let request = http::Request::get("https://api.example/v1/models")
        .header("cache-control", "max-age=60")
        .body(http_body_util::Full::default())
        .unwrap();
    let got = ask(&layer().all(), &script, request).await;
    assert_eq!(got.cache(), "none");
    assert!(Cached::of(&got.response).is_none());
    assert_eq!(script.seen()[0].headers["cache-control"], "max-age=60");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_wants_variety_gets_one_of_several_answers() {
    let mut number = 0;
    let script = Script::new().then_always(move || {
        number += 1;
        Answer::json(200, ANSWER.replace("Hello", &number.to_string()))
    });
    let layer = layer().all().answers(4);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        seen.insert(ask(&layer, &script, post(WARM)).await.text);
    }
    assert_eq!((seen.len(), script.calls()), (4, 4));
    // one is enough where the same answer is expected
    for _ in 0..20 {
        ask(&layer, &script, post(CHAT)).await;
    }
    assert_eq!(script.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_read_only_layer_stores_nothing_and_a_write_only_one_serves_nothing() {
    let script = Script::new().then_always(answered);
    let both = layer();
    let (reads, writes) = (both.clone().read_only(), both.clone().write_only());
    for _ in 0..2 {
        assert_eq!(ask(&reads, &script, post(CHAT)).await.cache(), "miss");
    }
    for _ in 0..2 {
        assert_eq!(ask(&writes, &script, post(CHAT)).await.cache(), "miss");
    }
    assert_eq!(ask(&reads, &script, post(CHAT)).await.cache(), "hit");
    assert_eq!(script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_passes_and_is_told() {
    let script = Script::new().then_always(answered);
    let small = layer().max_entry_bytes(ANSWER.len() - 1);
    for _ in 0..2 {
        let got = ask(&small, &script, post(CHAT)).await;
        assert_eq!((got.cache(), &*got.text), ("miss", ANSWER));
    }
    assert_eq!(kept(&small.handle()), (0, 2));
    // larger than the store takes
    let small = layer().max_bytes(600);
    ask(&small, &script, post(CHAT)).await;
    assert_eq!(kept(&small.handle()), (0, 1));
    let fits = layer().max_entry_bytes(ANSWER.len());
    ask(&fits, &script, post(CHAT)).await;
    assert_eq!(kept(&fits.handle()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_handle_tells_what_was_saved_and_removes() {
    let script = Script::new().then_always(|| answered().after(SECOND * 2));
    let layer = layer().priced_by(|of: &Purchase<'_>| {
        let known = of.model == "gpt-6-sol-2026-09-01" && of.host == Some("api.example");
        known.then(|| Money::from_picos(u128::from(of.usage.total()) * 1_000_000))
    });
    let handle = layer.handle();
    let service = layer.layer(script.clone());
    let call = async || read(service.clone().oneshot(post(CHAT)).await.unwrap()).await;
    let key = Cached::of(&call().await.response).unwrap().key.unwrap();
    for _ in 0..3 {
        assert_eq!(call().await.cache(), "hit");
    }
    let stats = handle.stats();
    assert_eq!((stats.hits, stats.misses, stats.kept), (3, 1, 1));
    assert_eq!(stats.hit_rate(), 0.75);
    assert_eq!(stats.tokens_saved, 30);
    assert_eq!(stats.time_saved, SECOND * 6);
    assert_eq!(stats.money_saved, Money::from_picos(30_000_000));
    assert_eq!(stats.unpriced, 0);
    let size = handle.size();
    assert_eq!(size.entries, 1);
    assert!(size.bytes >= ANSWER.len() as u64 && size.bytes < size.max_bytes);

    handle.remove(key).await.unwrap();
    assert_eq!(handle.size().entries, 0);
    assert_eq!(call().await.cache(), "miss");
    handle.remove_model("gpt-6-luna").await.unwrap();
    assert_eq!(call().await.cache(), "hit");
    handle.remove_model("gpt-6-sol").await.unwrap();
    assert_eq!(call().await.cache(), "miss");
    handle
        .remove_tenant_of(&post_by("sk-other", CHAT))
        .await
        .unwrap();
    assert_eq!(call().await.cache(), "hit");
    handle.remove_tenant_of(&post(CHAT)).await.unwrap();
    assert_eq!(call().await.cache(), "miss");
    handle.remove_all().await.unwrap();
    assert_eq!(call().await.cache(), "miss");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_on_its_way_when_its_kind_was_removed_is_not_kept() {
    let script = Script::new().then_always(|| answered().after(SECOND * 2));
    let layer = layer();
    let handle = layer.handle();
    let service = layer.layer(script.clone());
    let call = tokio::spawn(service.clone().oneshot(post(CHAT)));
    tokio::time::sleep(SECOND).await;
    handle.remove_model("gpt-6-sol").await.unwrap();
    read(call.await.unwrap().unwrap()).await;
    assert_eq!(kept(&handle), (0, 1));
    let again = read(service.oneshot(post(CHAT)).await.unwrap()).await;
    assert_eq!(again.cache(), "miss");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_said_or_that_opens_doors_is_shown() {
    let script = Script::new().then_always(answered);
    let layer = layer();
    let body = CHAT.replace("hi", "canary");
    let mut request = post_by("sk-canary", &body);
    *request.uri_mut() = "https://api.example/v1/chat/completions?key=canary"
        .parse()
        .unwrap();
    let mut service = layer.layer(script.clone());
    let call = service.call(request);
    let shown = format!("{call:?}");
    let response = call.await.unwrap();
    let shown = format!("{shown}{:?}{:?}", response.body(), Cached::of(&response));
    read(response).await;
    let shown = format!("{shown}{layer:?}{:?}{:?}", layer.handle(), layer.layer(()));
    assert!(
        !shown.contains("canary") && !shown.contains("Hello"),
        "{shown}"
    );
}

fn post_to(path: &str, body: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = post(body);
    *request.uri_mut() = format!("https://api.example{path}").parse().unwrap();
    request
}

fn transcript(name: &str) -> String {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../llm-exchange/tests/transcripts/"
    );
    std::fs::read_to_string(format!("{path}{name}")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_form_serves_the_other_in_the_framing_of_its_dialect() {
    let lines = "application/x-ndjson";
    for (path, body, name, kind) in [
        (
            "/api/chat",
            r#"{"model":"llama3.2","messages":[],"options":{"temperature":0},"stream":true}"#,
            "52-ollama-chat-stream.ndjson",
            lines,
        ),
        (
            "/v1/responses",
            r#"{"model":"gpt-5.6-sol","input":"hi","temperature":0,"stream":true}"#,
            "07-openai-responses-stream.sse",
            "text/event-stream",
        ),
        (
            "/v1/completions",
            r#"{"model":"gpt-3.5-turbo-instruct","prompt":"hi","temperature":0,"stream":true}"#,
            "16-openai-completions-stream.sse",
            "text/event-stream",
        ),
    ] {
        let unstreamed = body.replace("true", "false");
        // the stream is known, the answer is asked for
        let stream = transcript(name).replace("length", "stop");
        let body_of = |text: &str| ScriptedBody::new().data(text.to_owned());
        let said = |kind: &'static str, text: &str| {
            Answer::status(200)
                .header("content-type", kind)
                .body(body_of(text))
        };
        let layer_of_stream = layer().all();
        let script = Script::new().then(said(kind, &stream));
        ask(&layer_of_stream, &script, post_to(path, body)).await;
        let answer = ask(&layer_of_stream, &script, post_to(path, &unstreamed)).await;
        assert_eq!(answer.cache(), "hit", "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let json: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
        assert!(json.to_string().contains("ellow") || json.to_string().contains("lemon"));

        // and the reverse
        let layer = layer().all();
        let script = Script::new().then(said("application/json", &answer.text));
        ask(&layer, &script, post_to(path, &unstreamed)).await;
        let again = ask(&layer, &script, post_to(path, body)).await;
        assert_eq!(again.cache(), "hit", "{path}");
        assert_eq!(again.header("content-type"), Some(kind));
        assert_eq!(again.text.starts_with('{'), kind == lines, "{}", again.text);
        assert!(again.text.ends_with('\n'));
    }
}
