//! Questions that mean the same are answered by one answer, where that is chosen.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use cache_layer::{
    CacheLayer, Cached, Entry, Found, MemoryIndex, MemoryStore, Put, Remove, Removing, Semantic,
    Store, StoreSize, VectorIndex, Wanted,
};
use http_body_util::BodyExt;
use llm_exchange::{FromCache, User};
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

use crate::common::*;

const WHY: &str = "Why is a lemon yellow?";
const HOW: &str = "How come lemons are yellow?";
const LIME: &str = "Why is a lime green?";

/// Vectors by a table: what is not in it can't be embedded.
fn vectors() -> HashMap<&'static str, [f32; 2]> {
    HashMap::from([
        (WHY, [1.0, 0.0]),
        (HOW, [0.98, 0.1]),
        (LIME, [0.0, 1.0]),
        ("Take 15%", [1.0, 0.0]),
        ("Take 16%", [1.0, 0.0]),
        ("and why?", [1.0, 1.0]),
    ])
}

fn semantic() -> Semantic {
    Semantic::new(|question: String| async move {
        vectors().get(&*question).map(|vector| vector.to_vec())
    })
}

fn chat(question: &str) -> String {
    with_system("Be brief.", question)
}

fn with_system(system: &str, question: &str) -> String {
    let more = format!(r#"{{"role":"system","content":"{system}"}},{{"role":"user"#);
    CHAT.replace(r#"{"role":"user"#, &more)
        .replace("hi", question)
}

fn with_tools(question: &str) -> String {
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}}],"temperature""#;
    chat(question).replace(r#""temperature""#, tools)
}

fn with_image(question: &str) -> String {
    let plain = format!(r#""content":"{question}""#);
    let blocks = format!(
        r#""content":[{{"type":"text","text":"{question}"}},{{"type":"image_url","image_url":{{"url":"u"}}}}]"#
    );
    chat(question).replace(&plain, &blocks)
}

fn with_turns(question: &str) -> String {
    let turns =
        r#"{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user""#;
    chat(question).replace(r#"{"role":"user""#, turns)
}

fn lemon() -> CacheLayer {
    layer().semantic(semantic())
}

async fn status(layer: &CacheLayer, script: &Script, body: &str) -> String {
    ask(layer, script, post(body)).await.cache().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_question_that_means_the_same_is_a_hit_that_tells_how_alike_it_is() {
    let script = Script::new().then_always(answered);
    let layer = lemon();
    let first = ask(&layer, &script, post(&chat(WHY))).await;
    assert_eq!(
        (first.cache(), first.header("x-llm-cache-similarity")),
        ("miss", None)
    );
    tokio::time::advance(SECOND * 3).await;
    let got = ask(&layer, &script, post(&chat(HOW))).await;
    assert_eq!(
        (got.cache(), &*got.text, got.header("age")),
        ("hit", ANSWER, Some("3"))
    );
    assert_eq!(got.header("x-llm-cache-similarity"), Some("0.994"));
    let cached = Cached::of(&got.response).unwrap();
    assert!(
        cached
            .similarity
            .is_some_and(|similarity| similarity > 0.994 && similarity < 1.0)
    );
    assert_eq!(cached.key, Cached::of(&first.response).unwrap().key);
    assert_eq!(FromCache::of(&got.response), Some(FromCache::Hit));
    // the very same question is no likeness
    let same = ask(&layer, &script, post(&chat(WHY))).await;
    assert_eq!(
        (same.cache(), same.header("x-llm-cache-similarity")),
        ("hit", None)
    );
    assert_eq!(status(&layer, &script, &chat(LIME)).await, "miss");
    let stats = layer.handle().stats();
    assert_eq!((stats.hits, stats.alike, stats.misses), (2, 1, 2));
    assert_eq!(stats.tokens_saved, 20);
    assert_eq!(script.calls(), 2);
}

/// A store that can't be reached for a time.
#[derive(Clone)]
struct Away(MemoryStore, Arc<AtomicBool>);

impl Store for Away {
    type Get = Ready<Found<Option<u64>>>;
    type Ticket = Option<u64>;

    fn get(&self, wanted: &Wanted) -> Self::Get {
        if self.1.load(SeqCst) {
            return ready(Found::default());
        }
        let Found { entry, ticket } = self.0.get(wanted).into_inner();
        let ticket = Some(ticket);
        ready(Found { entry, ticket })
    }

    fn has_answered(&self, ticket: &Self::Ticket) -> bool {
        ticket.is_some()
    }

    fn put(&self, wanted: &Wanted, entry: Arc<Entry>, ticket: Self::Ticket) -> Put {
        ticket.map_or(Put::Busy, |ticket| self.0.put(wanted, entry, ticket))
    }

    fn remove(&self, what: Remove) -> Removing {
        self.0.remove(what)
    }

    fn size(&self) -> StoreSize {
        self.0.size()
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_makes_no_question_unknown() {
    let script = Script::new().then_always(answered);
    let away = Arc::new(AtomicBool::new(false));
    let layer = lemon().store(Away(MemoryStore::new(1 << 20), Arc::clone(&away)));
    let status = async |question| {
        ask(&layer, &script, post(&chat(question)))
            .await
            .cache()
            .to_owned()
    };
    assert_eq!(status(WHY).await, "miss");
    away.store(true, SeqCst);
    assert_eq!(status(HOW).await, "miss");
    away.store(false, SeqCst);
    assert_eq!(status(HOW).await, "hit");
}

#[tokio::test(start_paused = true)]
async fn it_is_off_by_default() {
    let script = Script::new().then_always(answered);
    let layer = layer();
    assert_eq!(status(&layer, &script, &chat(WHY)).await, "miss");
    assert_eq!(status(&layer, &script, &chat(HOW)).await, "miss");
}

#[tokio::test(start_paused = true)]
async fn all_else_must_be_equal_tenant_user_model_system_prompt_and_every_setting() {
    let script = Script::new()
        .then_always(|| Answer::json(200, ANSWER.replace("gpt-6-sol-2026-09-01", "m")));
    let layer = lemon();
    let ask = async |request| ask(&layer, &script, request).await.cache().to_owned();
    let body = |question| chat(question).replace("gpt-6-sol", "m");
    assert_eq!(ask(post(&body(WHY))).await, "miss");
    let other = |from, to| body(HOW).replace(from, to);
    for different in [
        other("Be brief.", "Be long."),
        other(r#""model":"m""#, r#""model":"m-2024-01-01""#),
        other(r#""temperature":0"#, r#""temperature":0,"max_tokens":9"#),
        other(
            r#""temperature":0"#,
            r#""temperature":0,"response_format":{"type":"json_object"}"#,
        ),
        other(r#""temperature":0"#, r#""temperature":0,"seed":1"#),
        other(r#""temperature":0"#, r#""temperature":0,"unheard_of":1"#),
    ] {
        assert_eq!(ask(post(&different)).await, "miss", "{different}");
    }
    assert_eq!(ask(post_by("sk-other", &body(HOW))).await, "miss");
    let mut of_user = post(&body(HOW));
    of_user.extensions_mut().insert(User::new("u"));
    assert_eq!(ask(of_user).await, "miss");
    let mut elsewhere = post(&body(HOW));
    *elsewhere.uri_mut() = "https://other.example/v1/chat/completions".parse().unwrap();
    assert_eq!(ask(elsewhere).await, "miss");
    assert_eq!(ask(post(&body(HOW))).await, "hit");
}

#[tokio::test(start_paused = true)]
async fn calls_with_tools_images_or_several_turns_are_never_compared() {
    let script = Script::new().then_always(answered);
    for body in [with_tools as fn(&str) -> String, with_image, with_turns] {
        let layer = lemon();
        assert_eq!(
            status(&layer, &script, &body(WHY)).await,
            "miss",
            "{}",
            body(WHY)
        );
        assert_eq!(
            status(&layer, &script, &body(HOW)).await,
            "miss",
            "{}",
            body(HOW)
        );
        assert_eq!(status(&layer, &script, &body(HOW)).await, "hit");
        assert_eq!(layer.handle().stats().alike, 0);
    }
    let chosen = layer().semantic(semantic().conversations());
    assert_eq!(status(&chosen, &script, &with_turns(WHY)).await, "miss");
    assert_eq!(status(&chosen, &script, &with_turns(HOW)).await, "hit");
    let before = with_turns(HOW).replace(r#""content":"b""#, r#""content":"c""#);
    assert_eq!(status(&chosen, &script, &before).await, "miss");
}

#[tokio::test(start_paused = true)]
async fn the_threshold_the_numbers_and_the_hook_decide() {
    let script = Script::new().then_always(answered);
    let strict = layer().semantic(semantic().threshold(0.999));
    assert_eq!(status(&strict, &script, &chat(WHY)).await, "miss");
    assert_eq!(status(&strict, &script, &chat(HOW)).await, "miss");

    let numbers = lemon();
    assert_eq!(status(&numbers, &script, &chat("Take 15%")).await, "miss");
    assert_eq!(status(&numbers, &script, &chat("Take 16%")).await, "miss");

    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&shown);
    let says = Arc::new(AtomicUsize::new(0));
    let answer = Arc::clone(&says);
    let hooked = layer().semantic(semantic().verify(move |candidate| {
        assert!(!format!("{candidate:?}").contains("lemon"));
        seen.lock()
            .unwrap()
            .push((candidate.asked.to_string(), candidate.known.to_string()));
        let yes = answer.load(SeqCst) > 0;
        async move { yes }
    }));
    assert_eq!(status(&hooked, &script, &chat(WHY)).await, "miss");
    let no_store = controlled(&chat(HOW), "no-cache");
    assert_eq!(ask(&hooked, &script, no_store).await.cache(), "miss");
    assert!(shown.lock().unwrap().is_empty());
    hooked.handle().remove_model("gpt-6-sol").await.unwrap();
    assert_eq!(status(&hooked, &script, &chat(WHY)).await, "miss");
    assert_eq!(status(&hooked, &script, &chat(HOW)).await, "miss");
    assert_eq!(*shown.lock().unwrap(), [(HOW.to_owned(), WHY.to_owned())]);
    hooked.handle().remove_all().await.unwrap();
    says.store(1, SeqCst);
    assert_eq!(status(&hooked, &script, &chat(WHY)).await, "miss");
    assert_eq!(status(&hooked, &script, &chat(HOW)).await, "hit");
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_or_is_past_its_time_is_not_served_by_its_likeness() {
    let script = Script::new().then_always(answered);
    let index = MemoryIndex::new(1 << 20);
    let layer = layer()
        .ttl(SECOND * 60)
        .semantic(semantic().index(index.clone()));
    assert_eq!(status(&layer, &script, &chat(WHY)).await, "miss");
    assert_eq!(index.len(), 1);
    layer.handle().remove_all().await.unwrap();
    assert_eq!(status(&layer, &script, &chat(HOW)).await, "miss");
    // the first question went, as its answer is gone; this one came
    assert_eq!(index.len(), 1);
    tokio::time::advance(SECOND * 30).await;
    let young = controlled(&chat(WHY), "max-age=10");
    assert_eq!(ask(&layer, &script, young).await.cache(), "miss");
    tokio::time::advance(SECOND * 61).await;
    assert_eq!(status(&layer, &script, &chat(HOW)).await, "miss");
    let control = controlled(&chat(WHY), "only-if-cached");
    assert_eq!(ask(&layer, &script, control).await.cache(), "hit");
    let control = controlled(&chat(LIME), "only-if-cached");
    assert_eq!(ask(&layer, &script, control).await.response.status(), 504);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_stored_is_not_found_by_its_likeness() {
    let script = Script::new()
        .then(throttled())
        .then(Answer::json(200, ANSWER.replace("\"stop\"", "\"length\"")))
        .then_always(answered);
    let layer = lemon();
    for question in [WHY, HOW, WHY] {
        ask(&layer, &script, post(&chat(question))).await;
    }
    assert_eq!((script.calls(), layer.handle().stats().alike), (3, 0));
    assert_eq!(status(&layer, &script, &chat(HOW)).await, "hit");
}

#[tokio::test(start_paused = true)]
async fn an_embedding_that_fails_or_takes_too_long_is_a_miss_within_the_bound() {
    let script = Script::new().then_always(answered);
    let slow = layer().semantic(Semantic::new(|_| async {
        sleep(SECOND * 60).await;
        Some(vec![1.0])
    }));
    for question in [WHY, HOW] {
        let start = tokio::time::Instant::now();
        assert_eq!(status(&slow, &script, &chat(question)).await, "miss");
        assert_eq!(start.elapsed(), SECOND * 3 / 10);
    }
    assert_eq!(status(&slow, &script, &chat(WHY)).await, "hit");
    let unknown = lemon();
    for question in ["What?", "What is it?"] {
        assert_eq!(status(&unknown, &script, &chat(question)).await, "miss");
    }
}

#[tokio::test(start_paused = true)]
async fn a_likeness_is_served_in_the_form_that_is_asked_for() {
    let script = Script::new().then(streamed());
    let layer = lemon();
    let streamed = |question| chat(question).replacen('{', r#"{"stream":true,"#, 1);
    assert_eq!(status(&layer, &script, &streamed(WHY)).await, "miss");
    let json = ask(&layer, &script, post(&chat(HOW))).await;
    assert_eq!(
        (json.cache(), json.header("content-type")),
        ("hit", Some("application/json"))
    );
    assert!(json.text.contains(r#""content":"Hello""#), "{}", json.text);
    let stream = ask(&layer, &script, post(&streamed(HOW))).await;
    assert_eq!((stream.cache(), &*stream.text), ("hit", &*without_usage()));
}

#[tokio::test(start_paused = true)]
async fn an_equal_call_under_way_is_joined_without_a_comparison() {
    let embedded = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&embedded);
    let semantic = Semantic::new(move |_| {
        count.fetch_add(1, SeqCst);
        async { Some(vec![1.0, 0.0]) }
    });
    let script = Script::new().then(answered().after(SECOND));
    let service = layer().semantic(semantic).layer(script.clone());
    let begin = || tokio::spawn(service.clone().oneshot(post(&chat(WHY))));
    let first = begin();
    sleep(SECOND / 2).await;
    let others: Vec<_> = (0..10).map(|_| begin()).collect();
    for call in std::iter::once(first).chain(others) {
        call.await
            .unwrap()
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap();
    }
    assert_eq!((script.calls(), embedded.load(SeqCst)), (1, 1));
}

#[test]
fn an_index_of_the_apps_own_can_keep_keys_as_bytes() {
    fn index<T: VectorIndex>() {}
    fn plain<T: Send + Sync + Clone + 'static>() {}
    index::<MemoryIndex>();
    plain::<Semantic>();
    plain::<cache_layer::Indexed>();
    plain::<cache_layer::Near>();
    let key = cache_layer::Key::from_bytes([7; 32]);
    assert_eq!(key.to_bytes(), [7; 32]);
}
