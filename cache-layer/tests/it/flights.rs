//! Equal calls at the same time make one upstream call.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use cache_layer::{Cache, CacheBody, CacheLayer};
use futures_util::TryFutureExt;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Collected};
use llm_exchange::{FromCache, Meter};
use tower::{Layer, ServiceExt};

use crate::common::*;

type Stack = Cache<Script>;

/// How often everything was polled.
#[derive(Clone, Default)]
struct Polls(Arc<AtomicUsize>);

impl Polls {
    async fn count<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.0.fetch_add(1, SeqCst);
            future.as_mut().poll(cx)
        })
        .await
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Boxed, as rustc can't see in an async block that a call with a boxed error is `Send`.
fn begin(stack: Stack, body: &str) -> Boxed<Response<CacheBody<ScriptedBody>>> {
    Box::pin(stack.oneshot(post(body)))
}

fn whole(body: CacheBody<ScriptedBody>) -> Boxed<Bytes> {
    Box::pin(body.collect().map_ok(Collected::to_bytes))
}

async fn call(stack: Stack, body: &'static str) -> Result<Got, BoxError> {
    let response = begin(stack, body).await?;
    let (parts, body) = response.into_parts();
    let bytes = whole(body).await?;
    Ok(Got {
        response: Response::from_parts(parts, ()),
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    })
}

fn slow_stream() -> Answer {
    let body = ScriptedBody::new()
        .data(ROLE)
        .data(HEL)
        .wait(SECOND)
        .data(LO)
        .wait(SECOND)
        .data(STOP)
        .data(USAGE)
        .data(DONE);
    Answer::stream(body).after(SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_equal_streams_are_one_call_although_who_began_it_leaves_half_way() {
    let script = Script::new().then(slow_stream());
    let layer = layer();
    let handle = layer.handle();
    let stack = layer.layer(script.clone());
    let polls = Polls::default();
    let mut begun = stack
        .clone()
        .oneshot(post(STREAMED))
        .await
        .unwrap()
        .into_body();
    // followers come before the head, with it, and in the middle of the stream
    let mut followers = Vec::new();
    for number in 0..99_u32 {
        let (stack, polls) = (stack.clone(), polls.clone());
        followers.push(tokio::spawn(async move {
            tokio::time::sleep(SECOND * number / 60).await;
            polls.count(call(stack, STREAMED)).await
        }));
    }
    let mut seen = 0;
    while seen < 2 {
        begun.frame().await.unwrap().unwrap();
        seen += 1;
    }
    tokio::time::sleep(SECOND / 2).await;
    drop(begun);
    for follower in followers {
        let got = follower.await.unwrap().unwrap();
        assert!(
            matches!(got.cache(), "coalesced" | "hit"),
            "{}",
            got.cache()
        );
        assert_eq!(got.text, without_usage());
        assert!(FromCache::of(&got.response).is_some());
    }
    assert_eq!(script.calls(), 1);
    let stats = handle.stats();
    assert_eq!(
        (stats.misses, stats.coalesced + stats.hits, stats.kept),
        (1, 99, 1)
    );
    assert!(stats.coalesced > 90);
    // each waits for a few things, and is woken for them
    let polls = polls.0.load(SeqCst);
    assert!(polls < 99 * 12, "{polls} polls");
    assert_eq!(handle.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_nothing_leaves_no_reader_asleep() {
    let body = ScriptedBody::new()
        .data([ROLE, HEL].concat())
        .data("")
        .wait(SECOND)
        .data("")
        .data("")
        .wait(SECOND)
        .data([LO, STOP, USAGE, DONE].concat());
    let script = Script::new().then(Answer::stream(body));
    let stack = layer().layer(script.clone());
    let calls = [call(stack.clone(), STREAMED), call(stack, STREAMED)];
    let calls = calls.map(tokio::spawn);
    for call in calls {
        let got = tokio::time::timeout(SECOND * 60, call).await;
        let got = got.expect("it is woken").unwrap().unwrap();
        assert_eq!(got.text, without_usage());
    }
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn equal_unstreamed_calls_are_one_call_and_a_long_wait_is_a_handful_of_polls() {
    let script = Script::new().then(answered().after(SECOND * 60));
    let layer = layer();
    let stack = layer.layer(script.clone());
    let polls = Polls::default();
    let calls = (0..50).map(|_| {
        let (stack, polls) = (stack.clone(), polls.clone());
        tokio::spawn(async move { polls.count(call(stack, CHAT)).await })
    });
    let calls: Vec<_> = calls.collect();
    // whoever began it goes
    tokio::time::sleep(SECOND * 30).await;
    calls[0].abort();
    let mut complete = 0;
    for call in calls {
        if let Ok(got) = call.await {
            assert_eq!(got.unwrap().text, ANSWER);
            complete += 1;
        }
    }
    assert_eq!((complete, script.calls()), (49, 1));
    let polls = polls.0.load(SeqCst);
    assert!(polls < 50 * 6, "{polls} polls");
}

#[tokio::test(start_paused = true)]
async fn when_the_last_reader_leaves_the_upstream_is_dropped_at_once() {
    let script = Script::new().then_always(slow_stream);
    let layer = layer();
    let stack = layer.layer(script.clone());
    let mut bodies = Vec::new();
    for _ in 0..3 {
        bodies.push(stack.clone().oneshot(post(STREAMED)).await.unwrap());
    }
    let upstream = script.seen()[0].answer.clone();
    for left in (0..3).rev() {
        bodies.pop();
        assert_eq!(upstream.is_alive(), left > 0);
    }
    assert_eq!(layer.handle().under_way(), 0);
    assert_eq!(call(stack, STREAMED).await.unwrap().cache(), "miss");
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_ends_nothing_in_the_books_of_the_others() {
    let script = Script::new().then(slow_stream());
    let layer = layer();
    let stack = layer.layer(script.clone());
    let first = stack.clone().oneshot(post(STREAMED)).await.unwrap();
    let second = stack.clone().oneshot(post(STREAMED)).await.unwrap();
    assert_eq!(FromCache::of(&first), None);
    assert_eq!(FromCache::of(&second), Some(FromCache::Shared));
    let (one, two) = (
        Meter::of(&first).unwrap().clone(),
        Meter::of(&second).unwrap().clone(),
    );
    drop(first);
    read(second).await;
    assert_eq!(two.usage().unwrap().total(), 11);
    assert_eq!(one.usage(), two.usage());
}

#[tokio::test(start_paused = true)]
async fn who_followed_a_call_that_failed_tries_for_itself() {
    for failure in [
        (|| throttled().after(SECOND)) as fn() -> Answer,
        || Answer::error("refused").after(SECOND),
        || Answer::json(200, RATE_LIMITED).after(SECOND),
        || Answer::stream(ScriptedBody::new().data(ROLE).wait(SECOND).error("reset")),
        || Answer::stream(ScriptedBody::new().data(ROLE).wait(SECOND)),
    ] {
        let script = Script::new().then(failure()).then(slow_stream());
        let stack = layer().layer(script.clone());
        let calls: Vec<_> = (0..10)
            .map(|_| tokio::spawn(call(stack.clone(), STREAMED)))
            .collect();
        let mut failed = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(got) if got.text == without_usage() => {}
                _ => failed += 1,
            }
        }
        // of ten, one had the failure and nine together one more call
        assert_eq!((failed, script.calls()), (1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_nobody_waits_for_a_long_row_of_others() {
    let script = Script::new().then_always(|| throttled().after(SECOND));
    let stack = layer().layer(script.clone());
    let start = tokio::time::Instant::now();
    let calls: Vec<_> = (0..10)
        .map(|_| tokio::spawn(call(stack.clone(), CHAT)))
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().response.status(), 429);
    }
    assert_eq!(start.elapsed(), SECOND * 3);
    assert_eq!(script.calls(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_half_way_is_an_error_to_all_hundred_who_were_given_of_it() {
    let script = Script::new()
        .then(Answer::stream(
            ScriptedBody::new()
                .data(ROLE)
                .data(HEL)
                .wait(SECOND)
                .error("connection reset"),
        ))
        .then(slow_stream());
    let layer = layer();
    let stack = layer.layer(script.clone());
    let polls = Polls::default();
    let readers: Vec<_> = (0..100_u32)
        .map(|number| {
            let (stack, polls) = (stack.clone(), polls.clone());
            tokio::spawn(async move {
                // with the head, and all through the second until it breaks
                tokio::time::sleep(SECOND * number / 101).await;
                polls
                    .count(async {
                        let mut body = begin(stack, STREAMED).await.unwrap().into_body();
                        let mut came = Vec::new();
                        loop {
                            let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
                            match frame.expect("it has no clean end") {
                                Ok(frame) => came.extend_from_slice(frame.data_ref().unwrap()),
                                Err(error) => return (came, error),
                            }
                        }
                    })
                    .await
            })
        })
        .collect();
    for reader in readers {
        let (came, error) = reader.await.unwrap();
        assert_eq!(String::from_utf8(came).unwrap(), [ROLE, HEL].concat());
        let mut causes = vec![error.to_string()];
        causes.extend(error.source().map(ToString::to_string));
        assert!(
            causes.contains(&"connection reset".to_owned()),
            "{causes:?}"
        );
    }
    assert_eq!(script.calls(), 1);
    let polls = polls.0.load(SeqCst);
    assert!(polls < 100 * 6, "{polls} polls");
    assert_eq!(layer.handle().size().entries, 0);
    assert_eq!(layer.handle().under_way(), 0);
    // and the next one is a call of its own
    let next = call(stack, STREAMED).await.unwrap();
    assert_eq!((next.cache(), &*next.text), ("miss", &*without_usage()));
    // a single reader has the error itself
    let script = Script::new().then(Answer::stream(
        ScriptedBody::new().data(HEL).error("connection reset"),
    ));
    let stack = crate::common::layer().layer(script);
    let error = call(stack, STREAMED).await.unwrap_err();
    assert_eq!(
        (error.to_string(), error.source().is_none()),
        ("connection reset".into(), true)
    );
}

fn large(events: usize) -> Vec<Bytes> {
    let event = HEL.replace("Hel", &"x".repeat(1 << 16));
    let mut all: Vec<_> = (0..events).map(|_| Bytes::from(event.clone())).collect();
    all.extend([STOP, DONE].map(Bytes::from));
    all
}

#[tokio::test(start_paused = true)]
async fn who_lags_behind_an_answer_that_is_too_large_is_ended_with_an_error_in_the_stream() {
    let script = Script::new().then(Answer::sse(large(40)));
    let layer = layer().max_entry_bytes(1 << 18);
    let stack = layer.layer(script.clone());
    let fast = stack.clone().oneshot(post(STREAMED)).await.unwrap();
    let mut slow = stack.clone().oneshot(post(STREAMED)).await.unwrap();
    assert_eq!(slow.headers()["x-llm-cache"], "coalesced");
    slow.body_mut().frame().await.unwrap().unwrap();
    let fast = read(fast).await;
    assert!(fast.text.ends_with(DONE));
    assert_eq!(
        fast.text.len(),
        large(40).iter().map(Bytes::len).sum::<usize>()
    );
    let rest = slow.into_body().collect().await.unwrap().to_bytes();
    let rest = String::from_utf8(rest.to_vec()).unwrap();
    assert!(
        rest.starts_with("data: {\"error\":") && rest.contains("read_too_slowly"),
        "{rest}"
    );
    assert_eq!(script.calls(), 1);
    assert_eq!(kept(&layer.handle()), (0, 1));
}

/// What a reader has of an answer that is too large, who read one frame of it and then lagged.
async fn lagged(
    request: impl Fn() -> http::Request<http_body_util::Full<Bytes>>,
    answer: Answer,
) -> String {
    let script = Script::new().then(answer);
    let stack = layer().max_entry_bytes(1 << 18).layer(script.clone());
    let fast = stack.clone().oneshot(request()).await.unwrap();
    let mut slow = stack.oneshot(request()).await.unwrap();
    let first = slow.body_mut().frame().await.unwrap().unwrap();
    let first = first.into_data().unwrap();
    read(fast).await;
    let rest = slow.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(script.calls(), 1);
    String::from_utf8([first, rest].concat()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_lags_is_told_in_the_stream_however_its_events_are_split_into_frames() {
    let whole = large(40).concat();
    for size in [1 << 14, (1 << 16) - 1, 100_000] {
        let frames = whole.chunks(size).map(Bytes::copy_from_slice);
        let body = frames.fold(ScriptedBody::new(), ScriptedBody::data);
        let came = lagged(|| post(STREAMED), Answer::stream(body)).await;
        let mut events: Vec<_> = came.split_terminator("\n\n").collect();
        assert_eq!(events.pop(), Some("data: [DONE]"), "{size}");
        let last = events.pop().unwrap();
        assert!(last.contains("read_too_slowly"), "{size}: {last}");
        for event in events {
            let json = event.strip_prefix("data: ").unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_lags_behind_lines_of_json_is_told_in_a_line() {
    let text = "x".repeat(1 << 16);
    let line = format!(
        "{{\"model\":\"m\",\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"done\":false}}\n"
    );
    let whole = line.repeat(40);
    for size in [line.len(), 50_000] {
        let frames = whole.as_bytes().chunks(size).map(Bytes::copy_from_slice);
        let body = frames.fold(ScriptedBody::new(), ScriptedBody::data);
        let answer = Answer::status(200)
            .header("content-type", "application/x-ndjson")
            .body(body);
        let request = || {
            let body = r#"{"model":"m","options":{"temperature":0},"messages":[{"role":"user","content":"hi"}]}"#;
            let mut request = post(body);
            *request.uri_mut() = "http://localhost:11434/api/chat".parse().unwrap();
            request
        };
        let came = lagged(request, answer).await;
        let mut lines = came.lines();
        let last = lines.next_back().unwrap();
        assert!(
            last.contains("error") && last.contains("too slowly"),
            "{last}"
        );
        for line in came.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_an_answer_that_is_too_large_to_be_whole_any_more() {
    let script = Script::new().then_always(|| Answer::sse(large(8)));
    let layer = layer().max_entry_bytes(1 << 18);
    let stack = layer.layer(script.clone());
    let mut first = stack.clone().oneshot(post(STREAMED)).await.unwrap();
    for _ in 0..5 {
        first.body_mut().frame().await.unwrap().unwrap();
    }
    let second = stack.clone().oneshot(post(STREAMED)).await.unwrap();
    assert_eq!(second.headers()["x-llm-cache"], "miss");
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stands_still_holds_up_nobody() {
    let script = Script::new().then(slow_stream());
    let stack = layer().layer(script.clone());
    let mut still = stack.clone().oneshot(post(STREAMED)).await.unwrap();
    // it is the one that the upstream knows, and is never polled again
    still.body_mut().frame().await.unwrap().unwrap();
    still.body_mut().frame().await.unwrap().unwrap();
    let mut polled = pin!(still.body_mut().frame());
    assert!(futures_util::poll!(&mut polled).is_pending());
    let got = call(stack, STREAMED).await.unwrap();
    assert_eq!((got.cache(), &*got.text), ("coalesced", &*without_usage()));
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_calls_also_where_they_are_made_apart() {
    let script = Script::new().then(answered().after(SECOND));
    let layer = layer();
    let calls: Vec<_> = (0..5)
        .map(|_| tokio::spawn(call(layer.clone().layer(script.clone()), CHAT)))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_and_an_unstreamed_call_at_the_same_time_are_two() {
    let script = Script::new()
        .then(answered().after(SECOND))
        .then(slow_stream());
    let stack = layer().layer(script.clone());
    let (one, two) = tokio::join!(call(stack.clone(), CHAT), call(stack, STREAMED));
    assert_eq!(one.unwrap().text, ANSWER);
    assert_eq!(two.unwrap().text, without_usage());
    assert_eq!(script.calls(), 2);
}

/// A reader who goes away after so many frames.
async fn some_of(mut body: CacheBody<ScriptedBody>, frames: usize) {
    for _ in 0..frames {
        let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        if next.await.is_none() {
            return;
        }
    }
}

/// Real threads and real time: a wake-up that goes to nobody would stop the rest for good.
#[test]
fn whoever_leaves_whenever_on_many_threads_the_rest_get_all_of_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        for round in 0..150_usize {
            let script = Script::new().then_always(|| {
                let body = (0..12).fold(ScriptedBody::new().data(ROLE), |body, number| {
                    let body = if number % 3 == 0 {
                        body.wait(SECOND / 2000)
                    } else {
                        body
                    };
                    body.data(HEL)
                });
                Answer::stream(body.data(STOP).data(DONE)).after(SECOND / 1000)
            });
            let stack = CacheLayer::new().layer(script.clone());
            let calls: Vec<_> = (0..24_usize)
                .map(|number| {
                    let stack = stack.clone();
                    tokio::spawn(async move {
                        let leaves = (number + round) % 3 == 0;
                        if leaves && number % 2 == 0 {
                            let head = begin(stack, STREAMED);
                            let _ = tokio::time::timeout(SECOND / 1500, head).await;
                            return;
                        }
                        let response = begin(stack, STREAMED).await.unwrap();
                        if leaves {
                            some_of(response.into_body(), number / 2).await;
                        } else {
                            let text = whole(response.into_body()).await.unwrap();
                            let text = String::from_utf8(text.to_vec()).unwrap();
                            assert_eq!(text.matches("Hel").count(), 12);
                            assert!(text.ends_with(DONE));
                        }
                    })
                })
                .collect();
            for call in calls {
                let whole = tokio::time::timeout(SECOND * 20, call).await;
                whole.expect("somebody was not woken").unwrap();
            }
            assert!(script.calls() <= 24);
        }
    });
}
