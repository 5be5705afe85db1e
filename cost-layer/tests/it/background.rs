//! Calls that a cache further in makes by itself, or goes on with when their caller has gone.

use std::{sync::Arc, time::SystemTime};

use cache_layer::CacheLayer;
use cost_layer::{CostHandle, Entry, Tags};
use fallback_layer::{Chain, FallbackLayer};
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use llm_exchange::{FromCache, Money, User, Verdict, WallClock};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

use crate::common::*;

const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);

fn alices(body: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = post(body);
    request.extensions_mut().insert(User::new("alice"));
    let tags = Tags::new().with("team", "search");
    request.extensions_mut().insert(tags);
    request
}

fn cache() -> CacheLayer {
    let (start, base) = (
        Instant::now(),
        SystemTime::UNIX_EPOCH + SECOND * 1_700_000_000,
    );
    let clock = WallClock::from_fn(Arc::new(move || base + start.elapsed()));
    CacheLayer::new()
        .all()
        .clock(clock)
        .ttl(HOUR)
        .stale_while_revalidate(HOUR)
}

/// Fills the cache, and asks again when the answer is past its time; the records after the first.
async fn renewed<S, R, E>(stack: &S, handle: &CostHandle, body: &str) -> Vec<Entry>
where
    S: Service<Request<http_body_util::Full<bytes::Bytes>>, Response = Response<R>, Error = E>
        + Clone,
    R: Body<Data = bytes::Bytes>,
    R::Error: std::fmt::Debug,
    E: std::fmt::Debug,
{
    for wait in [HOUR + SECOND * 5, SECOND * 10] {
        let response = stack.clone().oneshot(alices(body)).await.unwrap();
        text(response).await;
        tokio::time::sleep(wait).await;
    }
    let mut all = entries(handle).await;
    let first = all.remove(0);
    assert!(!first.is_background && first.from_cache.is_none());
    all
}

#[tokio::test(start_paused = true)]
async fn a_new_answer_that_is_got_while_an_old_one_is_served_is_a_record_of_its_own() {
    for body in [OPENAI, STREAM] {
        let answer = || {
            if body == STREAM {
                Answer::sse([HELLO, STOP, USAGE, DONE]).header("x-request-id", "req_1")
            } else {
                answered()
            }
        };
        let layer = layer();
        let handle = layer.handle();
        let script = Script::new().then(answer()).then(answer().after(SECOND));
        let stack = layer.layer(cache().layer(script.clone()));
        let after = renewed(&stack, &handle, body).await;
        assert_eq!((script.calls(), after.len()), (2, 2));
        let served = after.iter().find(|entry| !entry.is_background).unwrap();
        assert_eq!(served.from_cache, Some(FromCache::Hit));
        assert_eq!(served.cost(), Some(Money::ZERO));
        let own = after.iter().find(|entry| entry.is_background).unwrap();
        assert_eq!((own.part, own.from_cache), (0, None));
        assert_eq!(own.cost(), Some(Money::from_picos(COST)));
        assert_eq!((own.status, own.verdict), (200, Verdict::Ok));
        assert_eq!(own.user, Some(User::new("alice")));
        assert_eq!(own.tags.get("team"), Some("search"));
        assert_eq!(&*own.provider, "api.openai.com");
        assert_eq!(own.provider_request_id.as_deref(), Some("req_1"));
        assert!(own.total >= SECOND && !own.is_estimated);
        let stats = handle.stats();
        assert_eq!((stats.calls, stats.cost), (3, Money::from_picos(2 * COST)));
    }
}

#[tokio::test(start_paused = true)]
async fn its_attempts_are_its_own_and_not_those_of_the_answer_that_was_served() {
    let layer = layer();
    let handle = layer.handle();
    let failed = "data: {\"error\":{\"type\":\"server_error\",\"message\":\"\"}}\n\n";
    let script = Script::new()
        .then(answered())
        .then(Answer::sse([USAGE, failed]))
        .then(answered());
    let fallback = FallbackLayer::new(Chain::of("gpt-6-sol").then("gpt-6-luna")).unwrap();
    let stack = layer.layer(cache().layer(fallback.layer(script)));
    let after = renewed(&stack, &handle, OPENAI).await;
    let marks: Vec<_> = after
        .iter()
        .map(|entry| (entry.is_background, entry.part, &*entry.model))
        .collect();
    assert!(marks.contains(&(false, 0, "gpt-6-sol")), "{marks:?}");
    assert!(marks.contains(&(true, 0, "gpt-6-luna")), "{marks:?}");
    assert!(marks.contains(&(true, 1, "gpt-6-sol")), "{marks:?}");
    assert_eq!(marks.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_or_hangs_is_a_record_too_and_one_that_was_not_needed_is_none() {
    let answers: [fn() -> Answer; 3] = [
        || Answer::status(500),
        || Answer::error("connection refused"),
        Answer::hang,
    ];
    for (answer, verdict) in answers.into_iter().zip([
        Verdict::Failed,
        Verdict::Failed,
        // the cache gives it up after ten minutes
        Verdict::CallerGone,
    ]) {
        let layer = layer();
        let handle = layer.handle();
        let script = Script::new().then(answered()).then(answer());
        let stack = layer.layer(cache().layer(script.clone()));
        renewed(&stack, &handle, OPENAI).await;
        // while it is under way nobody makes another one
        if verdict == Verdict::CallerGone {
            text(stack.clone().oneshot(alices(OPENAI)).await.unwrap()).await;
        }
        tokio::time::sleep(SECOND * 700).await;
        assert_eq!(script.calls(), 2);
        let all = entries(&handle).await;
        let own: Vec<_> = all.iter().filter(|entry| entry.is_background).collect();
        assert_eq!(own.len(), 1);
        assert_eq!(own[0].verdict, verdict);
        assert_eq!(own[0].usage.input() > 0, verdict == Verdict::CallerGone);
    }
}

/// A call for the embeddings of these texts.
fn embeddings(input: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = post(&format!(
        r#"{{"model":"text-embedding-3-small","input":{input}}}"#
    ));
    *request.uri_mut() = "https://api.openai.com/v1/embeddings".parse().unwrap();
    request
}

/// So many embeddings, and tokens.
fn embedded(count: usize, tokens: u64) -> Answer {
    let each = (0..count)
        .map(|at| format!(r#"{{"object":"embedding","index":{at},"embedding":[0.1]}}"#))
        .collect::<Vec<_>>();
    let each = each.join(",");
    Answer::json(
        200,
        format!(
            r#"{{"object":"list","data":[{each}],"model":"text-embedding-3-small","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#
        ),
    )
}

#[tokio::test(start_paused = true)]
async fn embeddings_that_are_renewed_are_a_record_too() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new().then_always(|| embedded(2, 1_000));
    let stack = layer.layer(cache().layer(script.clone()));
    for _ in 0..2 {
        let ask = stack.clone().oneshot(embeddings(r#"["a","b"]"#));
        text(ask.await.unwrap()).await;
        tokio::time::sleep(HOUR + SECOND * 5).await;
    }
    assert_eq!(script.calls(), 2);
    let all = entries(&handle).await;
    let own = all.iter().find(|entry| entry.is_background).unwrap();
    assert_eq!((own.usage.input(), own.from_cache), (1_000, None));
    assert!(own.cost() > Some(Money::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_sent_anew_is_booked_with_what_was_paid_for_in_vain() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new()
        .then(embedded(1, 10))
        // not what was asked for
        .then(embedded(0, 7))
        .then(embedded(3, 30));
    let stack = layer.layer(cache().layer(script.clone()));
    for input in [r#""a""#, r#"["a","b","b"]"#] {
        let ask = stack.clone().oneshot(embeddings(input));
        text(ask.await.unwrap()).await;
    }
    assert_eq!(script.calls(), 3);
    let all = entries(&handle).await;
    let used: Vec<_> = all
        .iter()
        .map(|entry| (entry.part, entry.usage.input()))
        .collect();
    assert_eq!(used, [(0, 10), (0, 30), (1, 7)]);
}

#[tokio::test(start_paused = true)]
async fn what_others_read_on_after_its_caller_has_gone_is_in_the_record_of_that_caller() {
    let layer = layer();
    let handle = layer.handle();
    let body = ScriptedBody::new()
        .data(HELLO)
        .wait(SECOND)
        .data(HELLO)
        .data(STOP)
        .data(USAGE)
        .data(DONE);
    let script = Script::new().then(Answer::stream(body));
    let stack = layer.layer(cache().layer(script.clone()));
    let first = stack.clone().oneshot(alices(STREAM)).await.unwrap();
    let second = stack.oneshot(alices(STREAM)).await.unwrap();
    drop(first);
    assert_eq!(handle.stats().calls, 0, "it is not over");
    text(second).await;
    let all = entries(&handle).await;
    let (shared, asked): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|entry| entry.from_cache.is_some());
    assert_eq!((asked.len(), shared.len()), (1, 1));
    assert_eq!(asked[0].verdict, Verdict::CallerGone);
    assert_eq!(asked[0].cost(), Some(Money::from_picos(COST)));
    assert!(!asked[0].is_estimated && asked[0].total < SECOND);
    assert_eq!(shared[0].cost(), Some(Money::ZERO));
    // and where nobody reads on, it is booked at once
    let script = Script::new().then(Answer::stream(ScriptedBody::new().data(HELLO).hang()));
    let layer = crate::common::layer();
    let handle = layer.handle();
    let alone = layer.layer(cache().layer(script)).oneshot(alices(STREAM));
    drop(alone.await.unwrap());
    assert!(only(&handle).await.is_estimated);
}

#[tokio::test(start_paused = true)]
async fn what_others_read_on_after_a_caller_who_lagged_is_in_the_record_of_that_caller() {
    // what he waits for is cut between events, or within one
    for (cut, read) in [(0, 0), (100, 2)] {
        let layer = layer();
        let handle = layer.handle();
        let long = HELLO.replace("Hello there", &"x".repeat(600 << 10));
        let mut body = ScriptedBody::new().data(HELLO);
        for _ in 0..10 {
            body = body.wait(SECOND);
            body = body
                .data(long[..cut].to_owned())
                .data(long[cut..].to_owned());
        }
        let script = Script::new().then(Answer::stream(body.data(STOP).data(USAGE).data(DONE)));
        let stack = layer.layer(cache().max_entry_bytes(1 << 20).layer(script.clone()));
        let first = stack.clone().oneshot(alices(STREAM)).await.unwrap();
        let second = stack.oneshot(alices(STREAM)).await.unwrap();
        let mut second = second.into_body();
        let mut first = first.into_body();
        for _ in 0..read {
            first.frame().await.unwrap().unwrap();
        }
        let mut came = 0;
        while came < 5 << 20 {
            let frame = second.frame().await.unwrap().unwrap();
            came += frame.into_data().unwrap().len();
        }
        while let Some(Ok(_)) = first.frame().await {}
        assert_eq!(handle.stats().calls, 0, "it is not over");
        drop(first);
        assert_eq!(handle.stats().calls, 0, "it is not over");
        second.collect().await.unwrap();
        let (shared, asked): (Vec<_>, Vec<_>) = entries(&handle)
            .await
            .into_iter()
            .partition(|entry| entry.from_cache.is_some());
        assert_eq!((asked.len(), shared.len(), script.calls()), (1, 1, 1));
        assert_eq!(asked[0].cost(), Some(Money::from_picos(COST)));
        assert!(!asked[0].is_estimated);
        assert_eq!(shared[0].cost(), Some(Money::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_sent_anew_and_not_answered_is_charged_for_too() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new()
        .then(embedded(1, 10))
        .then(embedded(0, 7))
        .then(Answer::error(std::io::Error::from(
            std::io::ErrorKind::TimedOut,
        )));
    let stack = layer.layer(cache().layer(script.clone()));
    let ask = stack.clone().oneshot(embeddings(r#""a""#));
    text(ask.await.unwrap()).await;
    let ask = stack.oneshot(embeddings(r#"["a","b","b"]"#));
    ask.await.unwrap_err();
    let all = entries(&handle).await;
    let used: Vec<_> = all
        .iter()
        .map(|entry| (entry.part, entry.verdict, entry.is_estimated))
        .collect();
    let timed_out = (0, Verdict::TimedOut, true);
    assert_eq!(
        used,
        [(0, Verdict::Ok, false), timed_out, (1, Verdict::Ok, false)]
    );
    assert!(all[1].usage.input() > 0);
}
