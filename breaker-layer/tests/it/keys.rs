//! Which calls share a circuit, and that keys are bounded.

use crate::common::*;
use breaker_layer::CircuitState;
use http::Request;
use llm_exchange::{Call, Payload};

fn of_model(model: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
    post("https://api.example/v1/chat/completions", &body)
}

#[tokio::test(start_paused = true)]
async fn one_models_failures_are_not_anothers_nor_one_hosts() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then_answers("fffff").then_always(answered);
    let service = service(&layer, &script);
    open(&service, &handle).await;
    assert_eq!(call(&service, of_model("gpt-6-luna")).await, 200);
    let elsewhere = post("https://eu.api.example/v1/chat/completions", OPENAI);
    assert_eq!(call(&service, elsewhere).await, 200);
    assert_eq!(call(&service, openai()).await, 503);
}

#[tokio::test(start_paused = true)]
async fn any_function_of_the_call_can_be_the_key() {
    let layer = exact().key(|request: &Request<Payload>| {
        let streams = Call::of(request).is_some_and(|call| call.is_stream());
        if streams { "streams" } else { "whole answers" }
    });
    let handle = layer.handle();
    let script = Script::new().then_answers("fffff").then(stream());
    let service = service(&layer, &script);
    for model in ["a", "b", "c", "d", "e"] {
        call(&service, of_model(model)).await;
    }
    assert_eq!(
        handle.circuit("whole answers").unwrap().state,
        CircuitState::Open
    );
    assert_eq!(call(&service, streamed()).await, 200);
}

#[tokio::test(start_paused = true)]
async fn junk_model_names_grow_nothing_and_forget_idle_circuits_first() {
    let layer = exact().max_keys(64).unwrap();
    let handle = layer.handle();
    let script = Script::new()
        .then_answers("fffff")
        .then_always(|| Answer::status(404));
    let service = service(&layer, &script);
    open(&service, &handle).await;
    for junk in 0..1_000 {
        call(&service, of_model("busy")).await;
        call(&service, of_model(&format!("junk-{junk}"))).await;
    }
    assert_eq!(handle.circuits().len(), 64);
    assert_eq!(state(&handle), CircuitState::Open, "an open one is kept");
    let busy = handle.circuit("busy@api.example").unwrap();
    assert_eq!(busy.counts.neither, 1_000, "so is one in use");
    assert!(handle.circuit("junk-0@api.example").is_none());
    assert!(handle.circuit("junk-999@api.example").is_some());
}

#[tokio::test(start_paused = true)]
async fn when_all_are_open_the_longest_unused_is_forgotten() {
    let layer = exact().max_keys(3).unwrap().last_resort(99, 100).unwrap();
    let handle = layer.handle();
    let script = Script::new().then_always(failed);
    let service = service(&layer, &script);
    for model in ["a", "b", "c", "d"] {
        for _ in 0..5 {
            call(&service, of_model(model)).await;
        }
    }
    let mut keys: Vec<_> = handle.circuits().into_iter().map(|it| it.key).collect();
    keys.sort();
    assert_eq!(keys.len(), 3);
    assert_eq!(&*keys[0], "b@api.example");
    // the counts of what is open and known hold: all are, so the last resort applies
    assert_eq!(call(&service, of_model("d")).await, 500);
}

#[tokio::test(start_paused = true)]
async fn a_model_name_of_any_length_and_kind_has_a_harmless_key() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then_always(answered);
    let service = service(&layer, &script);
    call(&service, of_model(&"m".repeat(100_000))).await;
    call(&service, of_model("a\\nb")).await;
    call(
        &service,
        post(
            "https://user:canary@api.example/v1/chat/completions",
            OPENAI,
        ),
    )
    .await;
    let mut keys: Vec<_> = handle.circuits().into_iter().map(|it| it.key).collect();
    keys.sort();
    let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
    assert_eq!(
        keys,
        ["a?b@api.example", "api.example", "gpt-6-sol@api.example"]
    );
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_layer_share_their_circuits_and_a_setter_starts_anew() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then_answers("fffff").then_always(answered);
    let other = service(&layer.clone(), &script);
    open(&service(&layer, &script), &handle).await;
    assert_eq!(call(&other, openai()).await, 503);
    let apart = service(&layer.failures(2).unwrap(), &script);
    assert_eq!(call(&apart, openai()).await, 200);
}

#[tokio::test(start_paused = true)]
async fn junk_model_names_do_not_undo_the_apps_own_hand() {
    let layer = exact().max_keys(4).unwrap();
    let handle = layer.handle();
    let script = Script::new().then_always(|| Answer::status(404));
    let service = service(&layer, &script);
    call(&service, of_model("shut")).await;
    call(&service, of_model("free")).await;
    assert!(handle.force_open("shut@api.example") && handle.force_closed("free@api.example"));
    for junk in 0..100 {
        call(&service, of_model(&format!("junk-{junk}"))).await;
    }
    let state = |key: &str| handle.circuit(key).map(|circuit| circuit.state);
    assert_eq!(state("shut@api.example"), Some(CircuitState::ForcedOpen));
    assert_eq!(state("free@api.example"), Some(CircuitState::ForcedClosed));
    assert_eq!(handle.circuits().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_host_has_one_circuit_however_it_is_written_and_one_in_the_header_has_its_own() {
    let layer = exact();
    let handle = layer.handle();
    let service = service(&layer, &Script::new().then_always(answered));
    call(&service, openai()).await;
    call(
        &service,
        post(
            "https://user:canary@API.example/v1/chat/completions",
            OPENAI,
        ),
    )
    .await;
    assert_eq!(handle.circuit(KEY).unwrap().counts.successes, 2);
    for host in ["one.example", "two.example"] {
        let mut request = post("/v1/chat/completions", OPENAI);
        request.headers_mut().insert("host", host.parse().unwrap());
        call(&service, request).await;
        let key = format!("gpt-6-sol@{host}");
        assert_eq!(handle.circuit(&key).unwrap().counts.successes, 1, "{host}");
    }
}
