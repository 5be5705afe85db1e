//! Calls that another host answers than the one that their caller asked.

use cost_layer::{By, CostLayer, Prices, Query, Span, Window};
use fallback_layer::{Chain, Failover, FallbackLayer, Prefill, Target};
use llm_exchange::{Money, Verdict};
use tower::{Layer, ServiceExt};

use crate::common::*;

const FIRST: &str = "api.openai.com";
const SECOND_HOST: &str = "second.example:8443";

/// The same model at another host, then another model there.
fn chain() -> Chain {
    let at = |model: &str| {
        Target::model(model)
            .at("https://second.example:8443/v1")
            .without_credential()
    };
    Chain::of("gpt-6-sol")
        .then(at("gpt-6-sol"))
        .then(at("gpt-6-luna"))
}

fn fallback() -> FallbackLayer {
    FallbackLayer::new(chain()).unwrap()
}

fn places(entries: &[cost_layer::Entry]) -> Vec<(u32, &str, &str)> {
    let places = entries
        .iter()
        .map(|entry| (entry.part, &*entry.model, &*entry.provider));
    places.collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_booked_under_the_host_that_gave_it_and_what_was_left_under_its_own() {
    let layer = layer();
    let handle = layer.handle();
    // with a usage of its own, so that it costs something
    let failed = "data: {\"error\":{\"type\":\"server_error\",\"message\":\"\"}}\n\n";
    for body in [OPENAI, STREAM] {
        let script = Script::new()
            .then(Answer::sse([USAGE, failed]))
            .then(Answer::status(500))
            .then(answered().after(SECOND));
        let stack = layer.layer(fallback().layer(script));
        text(stack.oneshot(post(body)).await.unwrap()).await;
    }
    let all = entries(&handle).await;
    let expected = [
        (0, "gpt-6-luna", SECOND_HOST),
        (1, "gpt-6-sol", FIRST),
        (2, "gpt-6-sol", SECOND_HOST),
    ];
    assert_eq!(places(&all), [expected, expected].concat());
    assert!(all[1].cost() > Some(Money::ZERO));

    let by = Query::new(Span::all(), By::Provider);
    let spends = handle.spend(&by).await.unwrap();
    let of = |host: &str| spends.iter().find(|spend| spend.key == host).unwrap();
    assert_eq!((of(FIRST).requests, of(SECOND_HOST).requests), (0, 2));
    assert!(of(FIRST).cost > Money::ZERO && of(SECOND_HOST).cost > Money::ZERO);
    // latencies are of who answered, too
    let latencies = handle.latencies(Window::AllTime);
    let places: Vec<_> = latencies
        .iter()
        .map(|latency| (&*latency.provider, &*latency.model, latency.ok.total.count))
        .collect();
    assert_eq!(places, [(SECOND_HOST, "gpt-6-luna", 2)]);
}

#[tokio::test(start_paused = true)]
async fn the_price_is_that_of_the_host_that_answered() {
    let list = r#"{
        "own": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 0},
        "azure/own": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 3e-6, "output_cost_per_token": 0}
    }"#;
    let layer = CostLayer::new(Prices::read(list).unwrap());
    let handle = layer.handle();
    let azure = Target::model("own")
        .at("https://here.openai.azure.com/openai/v1")
        .without_credential();
    let fallback = FallbackLayer::new(Chain::of("own").then(azure)).unwrap();
    let answer =
        r#"{"model":"own","choices":[],"usage":{"prompt_tokens":1000000,"completion_tokens":0}}"#;
    let script = Script::new()
        .then(Answer::json(200, answer))
        .then(Answer::status(500))
        .then(Answer::json(200, answer));
    let stack = layer.layer(fallback.layer(script));
    for _ in 0..2 {
        let request = post(&OPENAI.replace("gpt-6-sol", "own"));
        text(stack.clone().oneshot(request).await.unwrap()).await;
    }
    let mut costs: Vec<_> = entries(&handle)
        .await
        .iter()
        .map(|entry| entry.cost())
        .collect();
    costs.sort_unstable();
    // the one that failed cost nothing
    let dollars = |dollars| Some(Money::usd(dollars));
    assert_eq!(costs, [dollars(0), dollars(1), dollars(3)]);
}

/// The beginning of a stream, and this after it.
fn begins(then: &str) -> Answer {
    let chunk = |choice: &str| {
        format!(
            "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,{choice}}}]}}\n\n"
        )
    };
    let role = chunk(r#""delta":{"role":"assistant","content":""},"finish_reason":null"#);
    let says = chunk(r#""delta":{"content":"Hello there"},"finish_reason":null"#);
    let stop = chunk(r#""delta":{},"finish_reason":"stop""#);
    let end = if then.is_empty() {
        format!("{stop}{USAGE}{DONE}")
    } else {
        then.to_owned()
    };
    Answer::sse([role, says, end])
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_another_host_goes_on_with_is_booked_under_both() {
    let overloaded =
        "data: {\"error\":{\"type\":\"overloaded_error\",\"code\":\"server_overloaded\"}}\n\n";
    let goes_on = |target: Target| target.prefill(Prefill::LastMessage);
    let other = Target::model("gpt-6-sol")
        .at("https://second.example:8443/v1")
        .without_credential();
    let chain = Chain::of(goes_on(Target::model("gpt-6-sol"))).then(goes_on(other));
    let fallback = FallbackLayer::new(chain).unwrap().failover(Failover::new());
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new().then(begins(overloaded)).then(begins(""));
    let stack = layer.layer(fallback.layer(script));
    text(stack.oneshot(post(STREAM)).await.unwrap()).await;
    let all = entries(&handle).await;
    let expected = [(0, "gpt-6-sol", SECOND_HOST), (1, "gpt-6-sol", FIRST)];
    assert_eq!(places(&all), expected);
    assert_eq!(all[0].usage.output(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_while_the_second_host_is_asked_leaves_a_record_of_that_one() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new().then(Answer::status(500)).then(Answer::hang());
    let stack = layer.layer(fallback().layer(script.clone()));
    let call = tokio::spawn(stack.oneshot(post(OPENAI)));
    tokio::time::sleep(SECOND).await;
    assert_eq!(script.calls(), 2);
    call.abort();
    let _ = call.await;
    let all = entries(&handle).await;
    let expected = [(0, "gpt-6-sol", SECOND_HOST), (1, "gpt-6-sol", FIRST)];
    assert_eq!(places(&all), expected);
    assert_eq!(all[0].verdict, Verdict::CallerGone);
    assert!(all[0].is_estimated && all[0].usage.input() > 0);
}
