//! The end of all retrying.

use crate::common::*;
use llm_exchange::Verdict;
use retry_layer::{GaveUp, Retried};
use testkit::Probe;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};

#[tokio::test(start_paused = true)]
async fn a_pause_ends_at_once_and_another_instance_may_be_asked() {
    let layer = exact();
    let handle = layer.handle();
    let script = Script::new().then(throttled().header("retry-after", "40"));
    let call = tokio::spawn(layer.layer(script.clone()).oneshot(anthropic()));
    sleep(SECOND).await;
    let stop = Instant::now();
    handle.stop_retrying();
    let response = call.await.unwrap().unwrap();
    assert_eq!(stop.elapsed().as_millis(), 0);
    assert_eq!((response.status().as_u16(), script.calls()), (503, 1));
    assert_eq!(header(&response, "x-llm-attempts"), Some("1"));
    assert_eq!(header(&response, "x-should-retry"), None);
    let retried = *Retried::of(&response).unwrap();
    assert_eq!(retried.gave_up, Some(GaveUp::Stopped));
    assert_eq!(retried.verdict, Verdict::Overloaded);
    let body = text(response).await;
    assert!(body.starts_with(r#"{"type":"error","error":{"type":"overloaded_error""#));
}

#[tokio::test(start_paused = true)]
async fn running_attempts_go_on_and_what_they_fail_with_goes_back_as_it_is() {
    let layer = exact();
    let script = Script::new()
        .then(answered().after(SECOND * 5))
        .then(throttled().after(SECOND * 5));
    let service = layer.layer(script.clone());
    let succeeds = tokio::spawn(service.clone().oneshot(openai()));
    sleep(SECOND).await;
    let fails = tokio::spawn(service.oneshot(openai()));
    sleep(SECOND).await;
    layer.handle().stop_retrying();

    assert_eq!(succeeds.await.unwrap().unwrap().status(), 200);
    let response = fails.await.unwrap().unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (429, 2));
    assert_eq!(header(&response, "x-should-retry"), None);
    let gave_up = Retried::of(&response).unwrap().gave_up;
    assert_eq!(gave_up, Some(GaveUp::Stopped));
    assert_eq!(text(response).await, RATE_LIMITED);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_before_a_further_attempt_ends_too() {
    let layer = exact();
    let inner = Probe::new(Script::new().then(throttled())).ready_times(1);
    let call = tokio::spawn(layer.layer(inner).oneshot(openai()));
    sleep(SECOND * 5).await;
    assert!(!call.is_finished());
    layer.handle().stop_retrying();
    assert_eq!(call.await.unwrap().unwrap().status(), 503);
}

#[tokio::test(start_paused = true)]
async fn it_is_for_every_service_of_the_layer_and_its_clones_and_for_good() {
    let layer = exact();
    let clone = layer.clone();
    layer.handle().stop_retrying();
    for layer in [layer, clone] {
        let script = Script::new().then(throttled());
        let response = layer.layer(script).oneshot(openai()).await.unwrap();
        assert_eq!(response.status(), 429);
    }
}
