//! Embeddings are known text by text, and only the rest is asked for.

use std::collections::BTreeSet;

use cache_layer::{CacheLayer, CacheStatus, Cached};
use llm_exchange::{Call, FromCache, Payload};
use proptest::{collection::vec, prelude::*, sample::subsequence};
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

use crate::{common::*, embedder::*};

/// A text, a list of tokens, and another that looks like it.
fn texts() -> Vec<Value> {
    vec![
        json!("a"),
        json!("b b"),
        json!("bb"),
        json!("é\n\"]"),
        json!("1,2"),
        json!([1, 2]),
        json!([12]),
        json!(""),
        json!("ctrl \u{1}"),
    ]
}

fn batches() -> impl Strategy<Value = Vec<Value>> {
    vec(0..texts().len(), 1..12)
        .prop_map(|which| which.into_iter().map(|at| texts()[at].clone()).collect())
}

fn forms() -> impl Strategy<Value = Value> {
    let form = (any::<bool>(), prop::option::of(1u64..3));
    form.prop_map(|(base64, dimensions)| {
        let mut form = of(Value::Null);
        if base64 {
            form["encoding_format"] = "base64".into();
        }
        if let Some(dimensions) = dimensions {
            form["dimensions"] = dimensions.into();
        }
        form
    })
}

fn with_input(mut form: Value, input: Vec<Value>) -> Value {
    form["input"] = input.into();
    form
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Whatever is known, alone or from batches, an answer is the provider's, and just the rest is asked for.
    #[test]
    fn any_batch_is_answered_as_by_the_provider_who_is_asked_for_the_rest_alone(
        batch in batches(), known in subsequence(texts(), 0..=9), alone in any::<bool>(),
        form in forms(), other in forms(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (layer, provider) = (CacheLayer::new(), Provider::default());
            // the same texts in another form are not these
            asks(&layer, &provider, &with_input(other.clone(), texts())).await;
            if alone {
                for text in &known {
                    let mut one = form.clone();
                    one["input"] = text.clone();
                    asks(&layer, &provider, &one).await;
                }
            } else if !known.is_empty() {
                asks(&layer, &provider, &with_input(form.clone(), known.clone())).await;
            }
            provider.asked();

            let request = with_input(form.clone(), batch.clone());
            let got = asks(&layer, &provider, &request).await;
            let (json, used) = parts(&got);
            assert_eq!(json, expected(&request));

            let all_known = form == other;
            let mut seen = BTreeSet::new();
            let rest: Vec<_> = batch.iter()
                .filter(|text| !all_known && !known.contains(text) && seen.insert(text.to_string()))
                .cloned()
                .collect();
            let asked = provider.asked();
            if rest.is_empty() {
                assert!(asked.is_empty(), "{asked:?}");
                assert_eq!(got.cache(), "hit");
                assert_eq!(FromCache::of(&got.response), Some(FromCache::Hit));
            } else {
                assert_eq!(used, tokens(&rest));
                assert_eq!(asked, [rest]);
                assert_eq!(got.cache(), "miss");
                assert_eq!(FromCache::of(&got.response), None);
            }
            // and now all of it is known
            let again = asks(&layer, &provider, &request).await;
            assert_eq!((again.cache(), parts(&again).0), ("hit", json));
            assert!(provider.asked().is_empty());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_alone_and_in_a_list_is_one_and_its_answer_is_kept_byte_for_byte() {
    let (layer, provider) = (layer(), Provider::default());
    let answer = r#"{ "object":"list", "id":"e-1", "data":[ {"object":"embedding","index":0,"embedding":[0.25]} ], "model":"text-embedding-3-small","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
    provider.instead(200, answer);
    for (input, status) in [
        (json!("lemon"), "miss"),
        (json!("lemon"), "hit"),
        (json!(["lemon"]), "hit"),
    ] {
        let got = asks(&layer, &provider, &of(input)).await;
        assert_eq!((got.cache(), &*got.text), (status, answer));
        assert!(Cached::of(&got.response).unwrap().key.is_some());
    }
    // what else the provider says stays, and the rest is what it said of the rest
    let got = asks(&layer, &provider, &of(vec!["lemon", "peel", "lemon"])).await;
    let (json, used) = parts(&got);
    assert_eq!(used, 6);
    assert_eq!(
        json["data"][2],
        json!({"object": "embedding", "index": 2, "embedding": [0.25]})
    );
    assert_eq!(provider.asked().last().unwrap(), &[json!("peel")]);
    let stats = layer.handle().stats();
    assert_eq!((stats.hits, stats.misses), (2, 2));
    // "lemon" twice and once more in the batch; it and "peel" were asked for
    assert_eq!((stats.texts_known, stats.texts_asked), (3, 2));
    // the key is the text's
    let key = Cached::of(&asks(&layer, &provider, &of("peel")).await.response)
        .unwrap()
        .key
        .unwrap();
    layer.handle().remove(key).await.unwrap();
    assert_eq!(asks(&layer, &provider, &of("peel")).await.cache(), "miss");
    assert_eq!(asks(&layer, &provider, &of("lemon")).await.cache(), "hit");
}

#[tokio::test(start_paused = true)]
async fn what_is_all_known_says_what_it_had_cost_and_saves_it() {
    let (layer, provider) = (layer(), Provider::default());
    asks(&layer, &provider, &of(vec!["aaaa", "b"])).await;
    asks(&layer, &provider, &of("cc")).await;
    tokio::time::advance(SECOND * 5).await;
    let got = asks(&layer, &provider, &of(vec!["cc", "aaaa", "b"])).await;
    assert_eq!((got.cache(), got.header("age")), ("hit", Some("5")));
    let all = tokens(&[json!("cc"), json!("aaaa"), json!("b")]);
    assert_eq!(parts(&got).1, all);
    assert_eq!(layer.handle().stats().tokens_saved, all);
}

#[tokio::test(start_paused = true)]
async fn equal_texts_at_the_same_time_are_asked_for_once() {
    let (layer, provider) = (layer(), Provider::taking(SECOND * 2));
    let (one, two, three) = (of(vec!["a", "b", "c"]), of(vec!["c", "d", "a"]), of("d"));
    let later = |wait: u32, request: Value| {
        let (layer, provider) = (layer.clone(), provider.clone());
        async move {
            sleep(SECOND * wait / 2).await;
            asks(&layer, &provider, &request).await
        }
    };
    let same = later(1, one.clone());
    let (first, same, second, third) = tokio::join!(
        later(0, one.clone()),
        same,
        later(2, two.clone()),
        later(3, three.clone())
    );
    for (got, request) in [
        (&first, &one),
        (&same, &one),
        (&second, &two),
        (&third, &three),
    ] {
        assert_eq!(parts(got).0, expected(request));
    }
    let cache = [&first, &same, &second, &third].map(|got| got.cache());
    assert_eq!(cache, ["miss", "coalesced", "miss", "coalesced"]);
    assert_eq!(
        provider.asked(),
        [vec![json!("a"), json!("b"), json!("c")], vec![json!("d")]]
    );
    assert_eq!(parts(&second).1, tokens(&[json!("d")]));
    assert_eq!(FromCache::of(&third.response), Some(FromCache::Shared));
    assert_eq!(layer.handle().under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_follows_a_call_whose_caller_leaves_or_that_fails_is_answered_all_the_same() {
    for fails in [false, true] {
        let (layer, provider) = (layer(), Provider::taking(SECOND * 2));
        if fails {
            provider.instead(500, "{}");
        }
        let service = layer.layer(provider.clone());
        let first = tokio::spawn(
            service
                .clone()
                .oneshot(post_embeddings("sk-one", &of(vec!["a", "b"]))),
        );
        sleep(SECOND).await;
        let request = of(vec!["b", "c"]);
        let second = tokio::spawn(service.oneshot(post_embeddings("sk-one", &request)));
        sleep(SECOND / 2).await;
        if fails {
            assert_eq!(first.await.unwrap().unwrap().status(), 500);
        } else {
            first.abort();
        }
        let got = read(second.await.unwrap().unwrap()).await;
        assert_eq!(parts(&got).0, expected(&request));
        let asked = provider.asked();
        let more: &[_] = if fails { &["b"] } else { &[] };
        assert_eq!(asked[1], [json!("c")]);
        assert_eq!(asked[2..].concat(), more);
        // what was paid for is "c", and "b" if it had to be asked for again
        assert_eq!(parts(&got).1, tokens(&asked[1..].concat()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_rest_is_the_answer_and_spoils_nothing() {
    let (layer, provider) = (layer(), Provider::default());
    asks(&layer, &provider, &of("a")).await;
    provider.instead(429, RATE_LIMITED);
    let got = asks(&layer, &provider, &of(vec!["a", "b"])).await;
    assert_eq!(
        (got.response.status().as_u16(), &*got.text),
        (429, RATE_LIMITED)
    );
    // an answer that can't be put together
    let gap = r#"{"object":"list","data":[],"model":"text-embedding-3-small","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
    provider.instead(200, gap);
    provider.asked();
    let twice = of(vec!["a", "b", "b"]);
    let got = asks(&layer, &provider, &twice).await;
    assert_eq!((got.cache(), parts(&got).0), ("miss", expected(&twice)));
    // so the call is made as it came
    assert_eq!(provider.asked(), [vec![json!("b")], inputs(&twice)]);
    provider.instead(200, &RATE_LIMITED.replace("slow", "so"));
    assert!(
        asks(&layer, &provider, &of(vec!["a", "b"]))
            .await
            .text
            .contains("so down")
    );
    provider.asked();
    let got = asks(&layer, &provider, &of(vec!["a", "b"])).await;
    assert_eq!(parts(&got).0, expected(&of(vec!["a", "b"])));
    assert_eq!(provider.asked(), [[json!("b")]]);
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_breaks_off_is_an_error_and_one_that_is_packed_passes_as_it_came() {
    let whole = |input: Value| uncached(&of(input)).to_string();
    let two = whole(json!(["b", "c"]));
    let broken = ScriptedBody::chunks([two[..two.len() / 2].to_owned()]).error("reset");
    let broken = Answer::status(200)
        .header("content-type", "application/json")
        .body(broken);
    let packed = || Answer::json(200, "\u{1f}packed").header("content-encoding", "gzip");
    let script = Script::new()
        .collect_bodies()
        .then(Answer::json(200, whole(json!("a"))))
        .then(broken)
        .then(Answer::json(200, two.clone()))
        .then(packed())
        .then(packed());
    let layer = layer();
    let asks = async |input: Value| {
        let request = post_embeddings("sk-one", &of(input));
        let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
        read(response).await
    };
    asks(json!("a")).await;
    let got = asks(json!(["a", "b", "c"])).await;
    assert_eq!(got.response.status(), 502);
    assert!(got.text.contains("embeddings_incomplete"), "{}", got.text);
    let got = asks(json!(["a", "b", "c"])).await;
    assert_eq!(parts(&got).0, expected(&of(json!(["a", "b", "c"]))));

    // asked for twice, as the first answer says nothing to who can't read it
    let got = asks(json!(["d", "d"])).await;
    assert_eq!((got.cache(), &*got.text), ("miss", "\u{1f}packed"));
    assert_eq!(got.header("content-encoding"), Some("gzip"));
    let last = script.seen().last().unwrap().body.clone().unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&last).unwrap(),
        of(json!(["d", "d"]))
    );
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_is_too_large_to_be_held_passes_as_it_came_and_is_in_the_books() {
    let provider = Provider::default();
    let layer = layer();
    asks(&layer, &provider, &of("a")).await;
    let two = of(vec!["a", "b"]);
    let large = "A".repeat(65 << 20);
    let body = format!(r#"{{"object":"list","data":[{{"index":0,"embedding":"{large}"}}]}}"#);
    provider.instead(200, &body);
    provider.instead(200, &body);
    let request = Payload::read(post_embeddings("sk-one", &two), 1 << 20).await;
    let attempts = Call::of(&request).unwrap().attempts().clone();
    let response = layer
        .layer(provider.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(attempts.left_behind().len(), 1);
    assert!(attempts.left_behind()[0].meter.is_some());
    let got = read(response).await;
    assert_eq!((got.cache(), got.response.status().as_u16()), ("miss", 200));
    assert!(got.text == body, "it is as it came");
    let asked = provider.asked();
    assert_eq!(asked[1..], [vec!["b"], vec!["a", "b"]]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_and_a_renewal_are_served_from_what_is_past_its_time() {
    let (provider, request) = (Provider::default(), of(vec!["a", "b"]));
    let outage = layer().ttl(SECOND * 10).stale_if_error(SECOND * 100);
    asks(&outage, &provider, &of("a")).await;
    tokio::time::advance(SECOND * 5).await;
    asks(&outage, &provider, &of("b")).await;
    tokio::time::advance(SECOND * 6).await;
    provider.instead(503, "{}");
    let got = asks(&outage, &provider, &request).await;
    assert_eq!((got.cache(), parts(&got).0), ("stale", expected(&request)));
    assert_eq!(
        Cached::of(&got.response).unwrap().status,
        CacheStatus::Stale
    );
    // one that is not known at all
    provider.instead(503, "{}");
    let more = of(vec!["a", "c"]);
    assert_eq!(asks(&outage, &provider, &more).await.response.status(), 503);

    let renewed = layer()
        .ttl(SECOND * 10)
        .stale_while_revalidate(SECOND * 100);
    asks(&renewed, &provider, &request).await;
    tokio::time::advance(SECOND * 11).await;
    provider.asked();
    assert_eq!(asks(&renewed, &provider, &request).await.cache(), "stale");
    sleep(SECOND).await;
    assert_eq!(provider.asked().len(), 1);
    assert_eq!(asks(&renewed, &provider, &request).await.cache(), "hit");
}

#[tokio::test(start_paused = true)]
async fn two_tenants_share_no_text_not_even_under_way() {
    let (layer, provider) = (layer(), Provider::taking(SECOND));
    let request = of(vec!["a", "b"]);
    let (one, other) = tokio::join!(
        asks_by("sk-one", &layer, &provider, &request),
        asks_by("sk-other", &layer, &provider, &request),
    );
    assert_eq!(
        (one.cache(), other.cache(), provider.asked().len()),
        ("miss", "miss", 2)
    );
    assert_eq!(
        asks_by("sk-third", &layer, &provider, &of("a"))
            .await
            .cache(),
        "miss"
    );
    layer
        .handle()
        .remove_tenant_of(&post_by("sk-one", ""))
        .await
        .unwrap();
    assert_eq!(
        asks_by("sk-one", &layer, &provider, &request).await.cache(),
        "miss"
    );
    assert_eq!(
        asks_by("sk-other", &layer, &provider, &request)
            .await
            .cache(),
        "hit"
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_controls_texts_as_any_call() {
    let (layer, provider) = (layer(), Provider::default());
    let controlled = async |control: &str, input: &[&str]| {
        let mut post = post_embeddings("sk-one", &of(input.to_vec()));
        post.headers_mut()
            .insert("cache-control", control.parse().unwrap());
        let got = read(layer.layer(provider.clone()).oneshot(post).await.unwrap()).await;
        (
            got.cache().to_owned(),
            got.response.status().as_u16(),
            provider.asked().concat().len(),
        )
    };
    assert_eq!(
        controlled("no-store", &["a"]).await,
        ("bypass".into(), 200, 1)
    );
    assert_eq!(
        controlled("only-if-cached", &["a"]).await,
        ("miss".into(), 504, 0)
    );
    assert_eq!(
        controlled("max-age=60", &["a", "b"]).await,
        ("miss".into(), 200, 2)
    );
    assert_eq!(
        controlled("only-if-cached", &["b", "a"]).await,
        ("hit".into(), 200, 0)
    );
    assert_eq!(
        controlled("no-cache", &["a", "b"]).await,
        ("miss".into(), 200, 2)
    );
    tokio::time::advance(SECOND * 30).await;
    assert_eq!(
        controlled("max-age=60", &["a", "c"]).await,
        ("miss".into(), 200, 1)
    );
    assert_eq!(
        controlled("max-age=20", &["a", "c"]).await,
        ("miss".into(), 200, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_apart_is_cached_whole() {
    let (layer, provider) = (layer(), Provider::default());
    for request in [of(json!([{"text": "a"}])), of(vec!["a"; 2049])] {
        assert_eq!(asks(&layer, &provider, &request).await.cache(), "miss");
        assert_eq!(asks(&layer, &provider, &request).await.cache(), "hit");
        assert_eq!(provider.asked().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_of_azure_is_asked_as_openai_is() {
    let (layer, provider) = (layer(), Provider::default());
    let ask = async |deployment: &str, input: &[&str]| {
        let mut post = post_embeddings("sk-one", &of(input.to_vec()));
        let uri = format!(
            "https://x.openai.azure.com/openai/deployments/{deployment}/embeddings?api-version=1"
        );
        *post.uri_mut() = uri.parse().unwrap();
        read(layer.layer(provider.clone()).oneshot(post).await.unwrap()).await;
        provider.asked().concat()
    };
    assert_eq!(ask("one", &["a", "b"]).await.len(), 2);
    assert_eq!(ask("one", &["a", "c"]).await, [json!("c")]);
    assert_eq!(ask("two", &["a"]).await.len(), 1);
}
