//! The layer as a tower service: a target that is not ready blocks nobody.

use std::future::poll_fn;

use crate::common::*;
use fallback_layer::{Chain, FallbackBody, FallbackLayer, Served, Target};
use http::Request;
use llm_exchange::{Payload, Verdict};
use testkit::Probe;
use tokio::time::Instant;
use tower::Service;

#[tokio::test(start_paused = true)]
async fn each_attempt_is_sent_by_an_instance_that_was_polled_ready() {
    let script = script()
        .then(Answer::status(500))
        .then(Answer::error("reset"))
        .then(answered());
    let inner = Probe::new(script).pending(2);
    let handle = inner.handle();
    layer().layer(inner).oneshot(openai("a")).await.unwrap();
    let counts = (handle.grants(), handle.calls(), handle.unused());
    assert_eq!(counts, (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn the_layer_is_ready_whatever_the_inner_service_is() {
    let inner = Probe::<_, BoxError>::new(Script::new()).ready_times(0);
    let handle = inner.handle();
    let mut service = layer().layer(inner);
    let ready = poll_fn(|cx| Service::<Request<Payload>>::poll_ready(&mut service, cx));
    ready.await.unwrap();
    assert_eq!(handle.grants(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_never_ready_does_not_block_the_first() {
    let never = Probe::<_, BoxError>::new(Script::new()).ready_times(0);
    let chain = Chain::of("a").then(Target::model("b").via(never));
    let layer = FallbackLayer::new(chain).unwrap();
    let start = Instant::now();
    layer
        .layer(script().then(answered()))
        .oneshot(openai("a"))
        .await
        .unwrap();
    assert_eq!(start.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_never_ready_is_left_for_the_next() {
    let never = || Probe::<_, BoxError>::new(Script::new()).ready_times(0);
    let start = Instant::now();
    let chain = Chain::of("a")
        .then(Target::model("b").via(never()))
        .then("c");
    let layer = FallbackLayer::new(chain).unwrap();
    let inner = script().then(Answer::status(500)).then(answered());
    let response = layer.layer(inner).oneshot(openai("a")).await.unwrap();
    assert_eq!(left(&response), ["a: failed (500)", "b: timed out"]);
    assert_eq!(start.elapsed(), SECOND * 10);

    // also if it is the first, and is to be quick
    let quick = Target::model("a").via(never()).max_latency(SECOND);
    let layer = FallbackLayer::new(Chain::of(quick).then("c")).unwrap();
    let start = Instant::now();
    let inner = script().then(answered());
    let response = layer.layer(inner).oneshot(openai("a")).await.unwrap();
    assert_eq!(left(&response), ["a: timed out"]);
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_is_never_ready_again_does_not_block_another() {
    let inner = Probe::new(script().then(Answer::status(500))).ready_times(1);
    let own = script().then(answered());
    let chain = Chain::of("a").then("b").then(Target::model("c").via(own));
    let layer = FallbackLayer::new(chain).unwrap().ready_timeout(SECOND);
    let response = layer.layer(inner).oneshot(openai("a")).await.unwrap();
    assert_eq!(by(&response), Some("c"));
}

#[tokio::test(start_paused = true)]
async fn the_last_target_is_waited_for_until_the_deadline() {
    let inner = Probe::new(script()).ready_times(0);
    let start = Instant::now();
    let layer = layer().deadline(SECOND * 60).ready_timeout(SECOND * 2);
    let response = layer.layer(inner).oneshot(openai("a")).await.unwrap();
    assert_eq!(start.elapsed(), SECOND * 60);
    assert_eq!(response.status(), 504);
    assert_eq!(verdicts(&response), [Verdict::TimedOut; 3]);

    // alone, it has no other limit
    let layer = FallbackLayer::new(Chain::of("a")).unwrap();
    let inner = Probe::new(script()).ready_times(0);
    let start = Instant::now();
    let response = layer.layer(inner).oneshot(openai("a")).await.unwrap();
    assert_eq!(
        (start.elapsed(), response.status().as_u16()),
        (SECOND * 120, 504)
    );
    assert!(text(response).await.contains("target_not_ready"));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_never_sent_the_call_is_no_attempt_and_spent_nothing() {
    let never = Probe::<_, BoxError>::new(Script::new()).ready_times(0);
    let chain = Chain::of(Target::model("a").via(never)).then("b");
    let layer = FallbackLayer::new(chain).unwrap();
    let script = script().then(answered());
    let request = Payload::read(openai("a"), 1 << 20).await;
    let call = llm_exchange::Call::of(&request).unwrap().clone();
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!(left(&response), ["a: timed out"]);
    assert_eq!(header(&response, "x-llm-attempts"), None);
    assert_eq!(script.seen()[0].headers.get("x-llm-attempt"), None);
    assert_eq!(call.attempts().count(), 1);
    assert!(call.attempts().left_behind().is_empty());
}

/// Ready at its time, and then never asked anything.
#[derive(Clone)]
struct ReadyAt(Instant);

impl Service<Request<Payload>> for ReadyAt {
    type Response = http::Response<ScriptedBody>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        if Instant::now() >= self.0 {
            return std::task::Poll::Ready(Ok(()));
        }
        let (at, waker) = (self.0, cx.waker().clone());
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            waker.wake();
        });
        std::task::Poll::Pending
    }

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        panic!("sent after the deadline");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_becomes_ready_at_the_deadline_is_not_sent_the_call() {
    let late = ReadyAt(Instant::now() + SECOND * 10);
    let chain = Chain::of("a").then(Target::model("b").via(late));
    let layer = FallbackLayer::new(chain).unwrap().deadline(SECOND * 10);
    let inner = script().then(Answer::status(503));
    let response = layer.layer(inner).oneshot(openai("a")).await.unwrap();
    assert_eq!(left(&response), ["a: overloaded (503)", "b: timed out"]);
    assert_eq!(response.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_a_failure_of_the_target() {
    let inner = Probe::new(script().then(answered())).fail_ready("no route");
    let response = layer().layer(inner).oneshot(openai("a")).await.unwrap();
    assert_eq!(left(&response), ["a: failed"]);
    assert_eq!(by(&response), Some("b"));

    let inner = Probe::new(script()).fail_ready("no route");
    let passed_through = layer().layer(inner).oneshot(openai("x")).await;
    assert_eq!(passed_through.unwrap_err().to_string(), "no route");
}

#[tokio::test(start_paused = true)]
async fn a_request_with_any_body_is_taken_and_a_payload_is_not_wrapped_twice() {
    let script = script().then_always(answered);
    let service = layer().layer(script.clone());
    let text = r#"{"model":"a","messages":[]}"#;
    let any = openai("a").map(|_| text.to_owned());
    service.clone().oneshot(any).await.unwrap();
    let read = Payload::read(openai("a"), 1 << 20).await;
    service.clone().oneshot(read).await.unwrap();
    let broken_up = ScriptedBody::<BoxError>::new()
        .data(&text[..9])
        .wait(SECOND)
        .data(&text[9..]);
    let mut request = openai("a").map(|_| broken_up);
    request.headers_mut().remove("content-length");
    service.oneshot(request).await.unwrap();
    assert_eq!(asked(&script), ["a", "a", "a"]);
}

#[test]
fn the_public_types_are_what_axum_and_spawn_ask_for() {
    fn service<T: Clone + Send + Sync + Unpin + 'static>(_: T) {}
    fn data<T: Send + Sync + Unpin + 'static>() {}
    fn send<T: Send>(_: T) {}
    let layer = layer();
    service(layer.clone());
    service(layer.handle());
    let mut fallback = layer.layer(Script::new());
    service(fallback.clone());
    send(fallback.call(openai("a")));
    let own = FallbackLayer::new(Chain::of(Target::model("a").via(Script::new()))).unwrap();
    let mut own = own.layer(Script::new());
    service(own.clone());
    send(own.call(openai("a")));
    data::<FallbackBody<ScriptedBody>>();
    data::<Served>();
    data::<fallback_layer::InvalidChain>();
    data::<fallback_layer::Memory>();
    data::<Chain>();
    data::<fallback_layer::Chains>();
}
