//! What a hedge costs: who reserves for it, who is in the books, who may still be asked.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use crate::common::*;
use crate::hedging::{USAGE, hedged, silent};
use fallback_layer::{Chain, Failover, FallbackLayer, Prefill, Target};
use llm_exchange::{Call, Cut, End, Extend, Payload, Verdict};

#[tokio::test(start_paused = true)]
async fn what_the_loser_used_is_in_the_books() {
    let request = Payload::read(openai("a"), 1 << 20).await;
    let call = Arc::clone(Call::of(&request).unwrap());
    let script = script().then(silent(SECOND * 9)).then(silent(SECOND));
    let response = hedged().layer(script).oneshot(request).await.unwrap();
    let left = call.attempts().left_behind();
    assert_eq!(left.len(), 1);
    let meter = left[0].meter.as_ref().unwrap();
    assert_eq!(
        (left[0].model.as_deref(), left[0].verdict),
        (Some("a"), Verdict::Outrun)
    );
    assert_eq!(
        (meter.end(), meter.spent().0.input()),
        (Some(End::Cut(Cut::Outrun)), 9)
    );
    text(response).await;
    assert_eq!(call.attempts().left_behind().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_outrun_goes_on_when_the_stream_of_who_was_faster_breaks() {
    let target = |model: &str| Target::model(model).prefill(Prefill::LastMessage);
    let overloaded = r#"data: {"error":{"type":"server_error","code":"overloaded","message":""}}"#;
    let breaks = |pause| {
        let body = ScriptedBody::new().wait(pause).data(ROLE).data(HELLO);
        Answer::stream(body.data(format!("{overloaded}\n\n")))
    };
    for (first, second, expected) in [
        (silent(SECOND * 9), breaks(SECOND), ["a", "b", "a"]),
        (breaks(SECOND * 3), silent(SECOND * 9), ["a", "b", "b"]),
    ] {
        let chain = Chain::of(target("a")).then(target("b"));
        let layer = FallbackLayer::new(chain).unwrap().hedge_after(SECOND * 2);
        let layer = layer.failover(Failover::new());
        let script = script().then(first).then(second).then(streamed());
        let json = r#"{"model":"a","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
        let request = post("https://api.example/v1/chat/completions", json);
        let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
        let text = text(response).await;
        assert_eq!(asked(&script), expected, "{text}");
        assert!(text.ends_with(DONE) && !text.contains("error"), "{text}");
    }
}

/// Refuses, and counts how often it was asked.
struct Refuses(AtomicU32);

impl Extend for Refuses {
    fn poll_extend(&self, running: &[Option<&str>], _: &mut Context<'_>) -> Poll<bool> {
        assert_eq!(running, [Some("b"), Some("a")], "both run then");
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(false)
    }

    fn is_over(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_not_extended_keeps_the_call_at_one_target() {
    let request = Payload::read(openai("a"), 1 << 20).await;
    let refuses = Arc::new(Refuses(AtomicU32::new(0)));
    Call::of(&request)
        .unwrap()
        .attempts()
        .extend_with(refuses.clone());
    let script = script().then(silent(SECOND * 5)).then(silent(SECOND));
    let layer = hedged();
    let handle = layer.handle();
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!((by(&response), script.calls()), (Some("a"), 1));
    assert_eq!(refuses.0.load(Ordering::Relaxed), 1);
    assert!(left(&response).is_empty() && handle.remembered().is_empty());
}

/// A target that is not sent the call while the first runs is not lost to it, and is no hedge.
#[tokio::test(start_paused = true)]
async fn a_target_whose_reservation_was_refused_has_its_turn_when_the_first_fails() {
    for chain in [Chain::of("a").then("b"), chain()] {
        let request = Payload::read(openai("a"), 1 << 20).await;
        let refuses = Arc::new(RefusesTwo);
        let attempts = Call::of(&request).unwrap().attempts().clone();
        attempts.extend_with(refuses);
        let script = script()
            .then(Answer::status(500).after(SECOND * 5))
            .then(answered());
        let layer = FallbackLayer::new(chain).unwrap().hedge_after(SECOND * 2);
        let handle = layer.handle();
        let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
        assert_eq!(
            (by(&response), left(&response)),
            (Some("b"), vec!["a: failed (500)".into()])
        );
        assert_eq!(
            (asked(&script), handle.stats().hedged),
            (vec!["a".to_owned(), "b".into()], 0)
        );
    }
}

/// Refuses what would run beside another.
struct RefusesTwo;

impl Extend for RefusesTwo {
    fn poll_extend(&self, running: &[Option<&str>], _: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(running.len() < 2)
    }

    fn is_over(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sent_takes_nothing_of_the_share() {
    let layer = hedged().no_memory().hedge_share(1);
    let handle = layer.handle();
    let service = layer.layer(Script::new().then_always(|| silent(SECOND * 4)));
    for _ in 0..30 {
        let request = Payload::read(openai("a"), 1 << 20).await;
        let attempts = Call::of(&request).unwrap().attempts().clone();
        attempts.extend_with(Arc::new(RefusesTwo));
        let response = service.clone().oneshot(request).await.unwrap();
        assert!(left(&response).is_empty());
    }
    assert_eq!(handle.stats().hedged, 0);
    for _ in 0..30 {
        service.clone().oneshot(openai("a")).await.unwrap();
    }
    assert_eq!(handle.stats().hedged, 10);
}

/// Grants, and notes which models would run.
#[derive(Default)]
struct Grants(Mutex<Vec<Vec<String>>>);

impl Extend for Grants {
    fn poll_extend(&self, running: &[Option<&str>], _: &mut Context<'_>) -> Poll<bool> {
        let running = running.iter().map(|model| model.unwrap().to_owned());
        self.0.lock().unwrap().push(running.collect());
        Poll::Ready(true)
    }

    fn is_over(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_hedge_nothing_is_reserved_for_those_that_are_over() {
    let script = script()
        .then(Answer::status(500).after(SECOND * 3))
        .then(Answer::status(500).after(SECOND * 3))
        .then(answered());
    let request = Payload::read(openai("a"), 1 << 20).await;
    let grants = Arc::new(Grants::default());
    let attempts = Call::of(&request).unwrap().attempts().clone();
    attempts.extend_with(grants.clone());
    let response = hedged().layer(script).oneshot(request).await.unwrap();
    assert_eq!(by(&response), Some("c"));
    let asked = grants.0.lock().unwrap().clone();
    assert_eq!(asked, [vec!["b", "a"], vec!["c"]]);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_a_caller_leaves_the_one_that_was_not_asked_last_is_in_the_books() {
    let role = || ScriptedBody::new().data(ROLE).data(USAGE).wait(SECOND * 99);
    let first_fails = Answer::status(500).after(SECOND * 3);
    let second_fails = Answer::status(500).after(SECOND);
    // answers, and the model, verdict and prompt of each that is left behind
    for (answers, expected, last) in [
        (
            [Answer::stream(role()), Answer::hang()],
            &[("a", Verdict::CallerGone, Some(9))][..],
            "b",
        ),
        (
            [Answer::hang(), Answer::stream(role())],
            &[("a", Verdict::CallerGone, None)],
            "b",
        ),
        (
            [first_fails, Answer::hang()],
            &[("a", Verdict::Failed, None)],
            "b",
        ),
        (
            [Answer::hang(), second_fails],
            &[("b", Verdict::Failed, None)],
            "a",
        ),
    ] {
        let request = Payload::read(openai("a"), 1 << 20).await;
        let call = Arc::clone(Call::of(&request).unwrap());
        let script = answers.into_iter().fold(script(), Script::then);
        let asked = hedged().layer(script).oneshot(request);
        tokio::time::timeout(SECOND * 9, asked).await.unwrap_err();
        let left = call.attempts().left_behind();
        let left: Vec<_> = left
            .iter()
            .map(|left| {
                let input = left.meter.as_ref().map(|meter| meter.spent().0.input());
                (left.model.as_deref().unwrap(), left.verdict, input)
            })
            .collect();
        assert_eq!(left, expected);
        assert_eq!(call.attempts().last_asked().unwrap().model(), last);
    }
}
