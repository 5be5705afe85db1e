//! A second target is asked while the first one is silent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::common::*;
use fallback_layer::{Chain, Chains, FallbackLayer, Served, Target, Why};
use http_body_util::BodyExt;
use testkit::{Point, drop_everywhere};
use tokio::time::Instant;

pub(crate) const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":0}}\n\n";

/// The second target is asked after 2 s of silence.
pub(crate) fn hedged() -> FallbackLayer {
    layer().hedge_after(SECOND * 2)
}

/// Begins at once, and says something only after this.
pub(crate) fn silent(pause: Duration) -> Answer {
    let body = ScriptedBody::new().data(ROLE).data(USAGE);
    Answer::stream(body.wait(pause).data(HELLO).data(STOP).data(DONE))
}

#[tokio::test(start_paused = true)]
async fn while_the_first_is_silent_the_next_is_asked_and_the_first_content_is_taken() {
    let script = script().then(silent(SECOND * 9)).then(silent(SECOND));
    let layer = hedged();
    let handle = layer.handle();
    let start = Instant::now();
    let response = layer
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!(start.elapsed(), SECOND * 3);
    assert_eq!(
        (by(&response), asked(&script)),
        (Some("b"), vec!["a".to_owned(), "b".into()])
    );
    assert_eq!(left(&response), ["a: another target was faster"]);
    assert_eq!(Served::of(&response).unwrap().left()[0].why(), Why::Outrun);
    let fell_back = Served::of(&response).unwrap().fell_back();
    assert_eq!(header(&response, "x-llm-model"), Some("b"));
    assert_eq!(header(&response, "x-llm-attempts"), Some("2"));
    assert_eq!(script.seen()[1].headers["x-llm-attempt"], "2");
    // the loser is dropped with its connection before the winner is handed on
    assert!(!script.seen()[0].answer.is_alive() && script.seen()[1].answer.is_alive());
    assert_eq!(
        text(response).await,
        [ROLE, USAGE, HELLO, STOP, DONE].concat()
    );
    let stats = handle.stats();
    assert_eq!((stats.hedged, stats.hedges_won, stats.fell_back), (1, 1, 1));
    assert!(fell_back);
    assert!(handle.remembered().is_empty(), "to be slower is no failure");
}

#[tokio::test(start_paused = true)]
async fn a_first_target_that_comes_in_time_is_never_hedged_and_one_that_comes_first_wins() {
    let script = script().then(silent(SECOND)).then(silent(SECOND));
    let response = hedged()
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!((by(&response), script.calls()), (Some("a"), 1));

    let script = self::script()
        .then(silent(SECOND * 3))
        .then(silent(SECOND * 5));
    let layer = hedged();
    let handle = layer.handle();
    let response = layer
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!((by(&response), script.calls()), (Some("a"), 2));
    assert_eq!(left(&response), ["b: another target was faster"]);
    assert!(!script.seen()[1].answer.is_alive());
    let stats = handle.stats();
    assert_eq!((stats.hedged, stats.hedges_won, stats.fell_back), (1, 0, 0));
    assert!(!Served::of(&response).unwrap().fell_back());
}

#[tokio::test(start_paused = true)]
async fn of_answers_that_are_not_streamed_the_first_good_one_wins() {
    let script = script()
        .then(answered().after(SECOND * 9))
        .then(answered().after(SECOND));
    let response = hedged().layer(script).oneshot(openai("a")).await.unwrap();
    assert_eq!(by(&response), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn one_of_the_two_failing_the_other_is_waited_for() {
    let first_fails = || Answer::status(500).after(SECOND * 3);
    let script = script().then(first_fails()).then(silent(SECOND * 4));
    let response = hedged()
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!(
        (by(&response), left(&response)),
        (Some("b"), vec!["a: failed (500)".to_owned()])
    );
    assert_eq!(script.calls(), 2);

    let script = self::script()
        .then(silent(SECOND * 5))
        .then(Answer::status(500));
    let response = hedged()
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!(
        (by(&response), left(&response)),
        (Some("a"), vec!["b: failed (500)".to_owned()])
    );
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn both_failing_the_call_goes_on_to_the_next_and_all_are_named() {
    let two = || {
        script()
            .then(Answer::status(500).after(SECOND * 3))
            .then(Answer::status(503).after(SECOND * 3))
    };
    let script = two().then(streamed());
    let response = hedged()
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!(by(&response), Some("c"));
    assert_eq!(left(&response), ["a: failed (500)", "b: overloaded (503)"]);

    let script = two().then(Answer::status(500));
    let response = hedged().layer(script).oneshot(openai("a")).await.unwrap();
    assert_eq!(by(&response), None);
    assert_eq!(
        left(&response),
        ["a: failed (500)", "b: overloaded (503)", "c: failed (500)"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_never_ready_does_not_block_the_first() {
    let never = testkit::Probe::<_, BoxError>::new(Script::new()).ready_times(0);
    let chain = Chain::of("a").then(Target::model("b").via(never));
    let script = Script::new().then(silent(SECOND * 4));
    let service = testkit::Probe::<_, BoxError>::new(script.clone());
    let layer = FallbackLayer::new(chain).unwrap().hedge_after(SECOND * 2);
    let handle = layer.handle();
    let response = layer.layer(service).oneshot(openai("a")).await.unwrap();
    assert_eq!((by(&response), script.calls()), (Some("a"), 1));
    assert!(left(&response).is_empty() && handle.stats().hedged == 0);
    assert_eq!(
        header(&response, "x-llm-attempts"),
        None,
        "what was not sent is no attempt"
    );
}

#[tokio::test(start_paused = true)]
async fn the_allowance_and_its_deadline_hold() {
    for layer in [hedged().max_attempts(1), hedged().deadline(SECOND)] {
        let script = script().then(silent(SECOND * 5)).then(silent(SECOND));
        let response = layer
            .layer(script.clone())
            .oneshot(openai("a"))
            .await
            .unwrap();
        assert_eq!((by(&response), script.calls()), (Some("a"), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_provider_keeps_or_runs_tools_for_is_made_once() {
    for json in [
        r#"{"model":"a","messages":[],"store":true}"#,
        r#"{"model":"a","messages":[],"tools":[{"type":"web_search"}]}"#,
    ] {
        let script = script().then(silent(SECOND * 5)).then(silent(SECOND));
        let request = post("https://api.example/v1/chat/completions", json);
        hedged()
            .layer(script.clone())
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(script.calls(), 1, "{json}");
    }
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_that_the_app_makes_such_at_either_target() {
    let stores = |model: &str| Target::model(model).parameter("store", true);
    for chain in [
        Chain::of(stores("a")).then("b"),
        Chain::of("a").then(stores("b")),
    ] {
        let layer = FallbackLayer::new(chain).unwrap().hedge_after(SECOND * 2);
        let handle = layer.handle();
        let script = script()
            .then(Answer::status(500).after(SECOND * 5))
            .then(answered());
        let response = layer
            .layer(script.clone())
            .oneshot(openai("a"))
            .await
            .unwrap();
        // its turn comes all the same
        assert_eq!((by(&response), handle.stats().hedged), (Some("b"), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_share_of_calls_is_made_twice() {
    let script = Script::new().then_always(|| silent(SECOND * 3));
    let layer = hedged().hedge_share(10).no_memory();
    let handle = layer.handle();
    let service = layer.layer(script);
    for _ in 0..100 {
        service.clone().oneshot(openai("a")).await.unwrap();
    }
    assert_eq!(handle.stats().hedged, 19);

    for (share, hedges) in [(1, 10), (0, 0)] {
        let layer = hedged().hedge_share(share);
        let handle = layer.handle();
        let service = layer.layer(Script::new().then_always(|| silent(SECOND * 3)));
        for _ in 0..20 {
            service.clone().oneshot(openai("a")).await.unwrap();
        }
        assert_eq!(handle.stats().hedged, hedges, "the first ten, unless none");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_with_a_share_of_its_own_is_counted_by_itself() {
    let chain = |model| Chain::for_model(model).then(model).then("z");
    let chains = Chains::new()
        .chain(chain("a").hedge_share(100))
        .chain(chain("b").hedge_share(0))
        .chain(chain("c"))
        .chain(chain("d"));
    let layer = FallbackLayer::new(chains).unwrap().no_memory();
    let layer = layer.hedge_after(SECOND * 2).hedge_share(1);
    let handle = layer.handle();
    let service = layer.layer(Script::new().then_always(|| silent(SECOND * 3)));
    let mut hedged = Vec::new();
    for model in ["a", "b", "c", "d"] {
        let before = handle.stats().hedged;
        for _ in 0..30 {
            service.clone().oneshot(openai(model)).await.unwrap();
        }
        hedged.push(handle.stats().hedged - before);
    }
    // what is the share of all is not used up by those that have their own
    assert_eq!(hedged, [30, 0, 10, 0]);
}

#[tokio::test(start_paused = true)]
async fn after_the_usual_time_is_learnt_only_the_unusually_slow_are_hedged() {
    let waits = Arc::new(AtomicU32::new(1_000));
    let script = Script::new().then_always({
        let waits = Arc::clone(&waits);
        move || silent(Duration::from_millis(waits.load(Ordering::Relaxed).into()))
    });
    let chain = Chain::for_model("a")
        .then("a")
        .then("b")
        .hedge_after_usual();
    let layer = FallbackLayer::new(chain).unwrap();
    let handle = layer.handle();
    let service = layer.layer(script);
    let call = async || service.clone().oneshot(openai("a")).await.unwrap();
    waits.store(9_000, Ordering::Relaxed);
    call().await;
    assert_eq!(handle.stats().hedged, 0, "nothing is known yet");
    waits.store(1_000, Ordering::Relaxed);
    for _ in 0..40 {
        call().await;
    }
    assert_eq!(handle.stats().hedged, 0);
    waits.store(9_000, Ordering::Relaxed);
    let start = Instant::now();
    call().await;
    assert_eq!((handle.stats().hedged, start.elapsed()), (1, SECOND * 9));
}

/// `b` is asked second of 30 calls and outrun half a second later; then it is the first of a call.
#[tokio::test(start_paused = true)]
async fn of_a_second_target_that_is_outrun_nothing_is_learnt() {
    let waits = Arc::new(AtomicU32::new(1_500));
    let script = Script::new().then_always({
        let waits = Arc::clone(&waits);
        move || silent(Duration::from_millis(waits.load(Ordering::Relaxed).into()))
    });
    let chains = Chains::new()
        .chain(
            Chain::for_model("a")
                .then("a")
                .then("b")
                .hedge_after(SECOND),
        )
        .chain(Chain::for_model("b").then("b").then("c"));
    let layer = FallbackLayer::new(chains)
        .unwrap()
        .hedge_after_usual()
        .hedge_share(100);
    let handle = layer.handle();
    let service = layer.layer(script);
    for _ in 0..30 {
        let response = service.clone().oneshot(openai("a")).await.unwrap();
        assert_eq!(left(&response), ["b: another target was faster"]);
    }
    assert_eq!(handle.stats().hedged, 30);
    waits.store(9_000, Ordering::Relaxed);
    service.clone().oneshot(openai("b")).await.unwrap();
    assert_eq!(handle.stats().hedged, 30, "nothing is known of it");
}

#[tokio::test(start_paused = true)]
async fn a_chain_has_its_own_time_or_none() {
    let run = async |chain: Chain| {
        let script = script().then(silent(SECOND * 5)).then(silent(SECOND));
        let layer = FallbackLayer::new(chain).unwrap().hedge_after(SECOND * 3);
        let start = Instant::now();
        layer.layer(script).oneshot(openai("a")).await.unwrap();
        start.elapsed()
    };
    assert_eq!(run(chain()).await, SECOND * 4);
    assert_eq!(run(chain().hedge_after(SECOND)).await, SECOND * 2);
    assert_eq!(run(chain().no_hedge()).await, SECOND * 5);
}

#[tokio::test(start_paused = true)]
async fn over_its_latency_the_first_is_left_and_the_second_goes_on() {
    let chain = Chain::of(Target::model("a").max_latency(SECOND * 3))
        .then("b")
        .then("c");
    let layer = FallbackLayer::new(chain).unwrap().hedge_after(SECOND);
    let script = script()
        .then(silent(SECOND * 9))
        .then(silent(SECOND * 4))
        .then(streamed());
    let start = Instant::now();
    let response = layer
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!(
        (by(&response), start.elapsed(), script.calls()),
        (Some("b"), SECOND * 5, 2)
    );
    assert_eq!(left(&response), ["a: timed out"]);
}

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_goes_away_both_are_dropped_and_neither_is_called_again() {
    let points = drop_everywhere(
        async || {
            let script = Script::new()
                .then(Answer::stream(
                    ScriptedBody::new()
                        .wait(SECOND * 3)
                        .data(ROLE)
                        .wait(SECOND * 9)
                        .data(HELLO),
                ))
                .then(Answer::stream(
                    ScriptedBody::new()
                        .wait(SECOND * 2)
                        .data(ROLE)
                        .data(HELLO)
                        .data(STOP)
                        .data(DONE),
                ));
            let layer = hedged();
            let handle = layer.handle();
            (
                (script.clone(), handle),
                layer.layer(script).oneshot(openai("a")),
            )
        },
        async |(script, handle), at| {
            let calls = script.calls();
            assert!(
                !script.seen().iter().any(|call| call.answer.is_alive()),
                "{at:?}"
            );
            tokio::time::advance(SECOND * 300).await;
            assert_eq!(script.calls(), calls, "called again after {at:?}");
            assert!(handle.remembered().is_empty() && handle.stats().all_failed == 0);
        },
    )
    .await;
    assert_eq!(points.last().unwrap().point, Point::Ended);
    let pending = points
        .iter()
        .filter(|at| matches!(at.point, Point::CallPending(_)))
        .count();
    // at first, both asked, the first one's role
    assert!(pending >= 3, "{points:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_both_burns_no_time() {
    let script = script().then(Answer::hang()).then(silent(SECOND * 60));
    let mut call = counted(hedged().layer(script).oneshot(openai("a")));
    let response = (&mut call).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert!(call.polls < 12, "{}", call.polls);
}

/// Counts how often a future is polled.
struct Counted<F> {
    call: std::pin::Pin<Box<F>>,
    polls: u32,
}

fn counted<F: Future>(call: F) -> Counted<F> {
    Counted {
        call: Box::pin(call),
        polls: 0,
    }
}

impl<F: Future> Future for &mut Counted<F> {
    type Output = F::Output;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<F::Output> {
        self.polls += 1;
        self.call.as_mut().poll(cx)
    }
}
