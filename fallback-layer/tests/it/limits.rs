//! The limits of targets, and of the call.

use std::{task::Poll, time::Duration};

use crate::common::*;
use fallback_layer::{Chain, Chains, FallbackLayer, Target};
use http::Request;
use http_body_util::{BodyExt, Full};
use llm_exchange::{Attempts, Money, PeekLimits, Purchase, Verdict};
use tokio::time::Instant;

fn of(first: Target) -> FallbackLayer {
    FallbackLayer::new(Chain::of(first).then("b")).unwrap()
}

/// $1 for a million tokens in, $10 out; of `free` nothing is known.
fn prices(purchase: &Purchase<'_>) -> Option<Money> {
    let picos = purchase.usage.input() * 1_000_000 + purchase.usage.output() * 10_000_000;
    (purchase.model != "free").then(|| Money::from_picos(picos.into()))
}

fn costing(fields: &str) -> Request<Full<bytes::Bytes>> {
    let prompt = "x".repeat(3_000);
    let text =
        format!(r#"{{"model":"a",{fields}"messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
    post("https://api.example/v1/chat/completions", &text)
}

async fn who(layer: &FallbackLayer, request: Request<Full<bytes::Bytes>>) -> String {
    let script = script().then(answered());
    let response = layer.layer(script).oneshot(request).await.unwrap();
    by(&response).unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_target_that_costs_too_much_for_this_call_is_skipped() {
    // some 760 tokens in at $1 and 1,000 expected ones out at $10 are about $0.0108
    let at = |limit: &str| of(Target::model("a").max_cost(limit.parse().unwrap(), prices));
    assert_eq!(who(&at("0.012"), costing("")).await, "a");
    assert_eq!(who(&at("0.010"), costing("")).await, "b");
    assert_eq!(
        who(&at("0.010"), costing(r#""max_tokens":500,"#)).await,
        "a"
    );
    assert_eq!(
        who(&at("0.010"), costing(r#""max_tokens":500,"n":2,"#)).await,
        "b"
    );
    assert_eq!(
        who(&at("0.010").expected_output(500), costing("")).await,
        "a"
    );
    assert_eq!(who(&at("0.000001"), openai("a")).await, "b");
}

#[tokio::test(start_paused = true)]
async fn a_target_of_unknown_price_is_skipped_where_its_cost_is_limited() {
    let layer = of(Target::model("free").max_cost(Money::usd(1_000), prices));
    let script = script().then(answered());
    let service = layer.layer(script);
    let response = service.oneshot(openai("free")).await.unwrap();
    assert_eq!(left(&response), ["free: skipped, its price is not known"]);
    assert_eq!(by(&response), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_cannot_fit_skips_the_target() {
    let window = |tokens| of(Target::model("a").context_window(tokens));
    assert_eq!(who(&window(400), costing("")).await, "b");
    // it might fit: the provider says so if it doesn't
    assert_eq!(who(&window(700), costing("")).await, "a");
    assert_eq!(who(&window(400), openai("a")).await, "a");
}

#[tokio::test(start_paused = true)]
async fn a_target_without_content_in_time_is_left_as_timed_out() {
    let slow = Target::model("a").max_latency(SECOND * 3);
    for answer in [
        Answer::hang(),
        answered().after(SECOND * 4),
        Answer::stream(ScriptedBody::new().hang()),
        Answer::stream(ScriptedBody::new().data(ROLE).wait(SECOND * 4).data(HELLO)),
        Answer::json(200, "").body(ScriptedBody::new().hang()),
        Answer::stream((0..9).fold(ScriptedBody::new(), |body, _| {
            body.data(": ping\n\n").wait(SECOND)
        })),
    ] {
        let script = script().then(answer).then(streamed());
        let start = Instant::now();
        let service = of(slow.clone()).layer(script.clone());
        let response = service.oneshot(openai("a")).await.unwrap();
        assert_eq!(start.elapsed(), SECOND * 3);
        assert_eq!(left(&response), ["a: timed out"]);
        assert!(!script.seen()[0].answer.is_alive());
        assert_eq!(text(response).await, [ROLE, HELLO, STOP, DONE].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn content_in_time_is_content_however_long_the_rest_takes() {
    let body = ScriptedBody::new()
        .wait(SECOND * 2)
        .data(HELLO)
        .wait(SECOND * 60)
        .data(DONE);
    let script = script().then(Answer::stream(body));
    let service = of(Target::model("a").max_latency(SECOND * 3)).layer(script);
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!(text(response).await, [HELLO, DONE].concat());
}

#[tokio::test(start_paused = true)]
async fn the_last_target_is_waited_for_past_its_latency() {
    let slow = |model: &str| Target::model(model).max_latency(SECOND);
    let layer = FallbackLayer::new(Chain::of(slow("a")).then(slow("b"))).unwrap();
    let script = script().then(answered().after(SECOND * 5)).then(
        Answer::stream(ScriptedBody::new().wait(SECOND * 5).data(HELLO).data(DONE))
            .after(SECOND * 5),
    );
    let start = Instant::now();
    let response = layer.layer(script).oneshot(openai("a")).await.unwrap();
    assert_eq!(by(&response), Some("b"));
    text(response).await;
    assert_eq!(start.elapsed(), SECOND * 11);
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_followers_are_all_skipped_is_waited_for() {
    let chain =
        Chain::of(Target::model("a").max_latency(SECOND)).then(Target::model("b").disabled(true));
    let layer = FallbackLayer::new(chain).unwrap();
    let script = script().then(answered().after(SECOND * 5));
    let response = layer.layer(script).oneshot(openai("a")).await.unwrap();
    assert_eq!(by(&response), Some("a"));
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn with_a_latency_the_answer_is_held_back_until_then_and_without_one_as_usual() {
    let thinking = || {
        let pings = (0..30).fold(ScriptedBody::new(), |body, _| {
            body.data(": ping\n\n").wait(SECOND)
        });
        Answer::stream(pings.data(HELLO))
    };
    for (target, held, calls) in [
        (Target::model("a"), 15, 1),
        (Target::model("a").max_latency(SECOND * 20), 20, 2),
        (Target::model("a").max_latency(SECOND * 40), 30, 1),
    ] {
        let script = script().then(thinking()).then(streamed());
        let start = Instant::now();
        let service = of(target).layer(script.clone());
        let response = service.oneshot(openai("a")).await.unwrap();
        assert_eq!((start.elapsed(), script.calls()), (SECOND * held, calls));
        assert!(text(response).await.contains("Hello"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_bounded() {
    let limits = PeekLimits::default()
        .commit_after(Duration::from_millis(1))
        .max_bytes(64)
        .max_events(3);
    for body in [
        ScriptedBody::new().data(ROLE).hang(),
        ScriptedBody::new().data(vec![b':'; 64]).hang(),
        ScriptedBody::new().data("data: {}\n\n".repeat(3)).hang(),
    ] {
        let script = script().then(Answer::stream(body));
        let service = layer().peek_limits(limits).layer(script);
        let response = service.oneshot(openai("a")).await.unwrap();
        assert!(response.into_body().frame().await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn no_target_is_tried_after_the_deadline() {
    let script = script().then(Answer::status(503).after(SECOND * 9));
    let start = Instant::now();
    let service = layer().deadline(SECOND * 8).layer(script.clone());
    let response = service.oneshot(openai("a")).await.unwrap();
    assert_eq!((start.elapsed(), script.calls()), (SECOND * 9, 1));
    assert_eq!(response.status(), 503);
    assert_eq!(verdicts(&response), [Verdict::Overloaded]);
}

#[tokio::test(start_paused = true)]
async fn the_calls_own_allowance_is_obeyed() {
    let attempts = Attempts::default();
    attempts.end_by(Instant::now() + SECOND * 5);
    let mut request = openai("a");
    request.extensions_mut().insert(attempts);
    let script = script().then_always(|| Answer::status(503).after(SECOND * 3));
    layer()
        .no_deadline()
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(script.calls(), 2);

    let script = crate::common::script().then_always(|| Answer::status(503));
    layer()
        .max_attempts(2)
        .layer(script.clone())
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!(script.calls(), 2);
}

/// Reserves for whatever is asked but one model, and lets nobody know at once.
struct Reserves {
    not_for: &'static str,
    asked: std::sync::Mutex<Vec<Option<String>>>,
}

impl llm_exchange::Extend for Reserves {
    fn poll_extend(&self, running: &[Option<&str>], cx: &mut std::task::Context<'_>) -> Poll<bool> {
        let mut asked = self.asked.lock().unwrap();
        let model = running[0].map(str::to_owned);
        if asked.last() != Some(&model) {
            asked.push(model);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(model.as_deref() != Some(self.not_for))
    }

    fn is_over(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_nothing_can_be_reserved_for_is_not_sent_the_call() {
    let reserves = |not_for| {
        std::sync::Arc::new(Reserves {
            not_for,
            asked: std::sync::Mutex::default(),
        })
    };
    let ask = async |not_for: &'static str, answers: usize| {
        let script = (0..answers).fold(script(), |script, _| script.then(Answer::error("reset")));
        let script = script.then(answered());
        let attempts = Attempts::default();
        let extender = reserves(not_for);
        attempts.extend_with(extender.clone());
        let mut request = openai("x");
        request.extensions_mut().insert(attempts.clone());
        let chains = Chains::new().default_chain(Chain::new().then("a").then("b"));
        let layer = FallbackLayer::new(chains).unwrap();
        let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
        let extended = extender.asked.lock().unwrap().clone();
        let extended: Vec<_> = extended.into_iter().flatten().collect();
        (
            response.status().as_u16(),
            asked(&script),
            extended,
            attempts.count(),
        )
    };
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.into()).collect() };
    // the first one is free of the allowance, but not what was asked for
    assert_eq!(
        ask("c", 1).await,
        (200, names(&["a", "b"]), names(&["a", "b"]), 2)
    );
    assert_eq!(
        ask("a", 0).await,
        (200, names(&["b"]), names(&["a", "b"]), 1)
    );
    let (status, sent, _, attempts) = ask("b", 1).await;
    assert_eq!((sent, attempts), (names(&["a"]), 1));
    assert!(status >= 500, "{status}");
}
