//! Every public type is what axum, hyper and `tokio::spawn` ask for.

use sse_layer::*;
use tower::{Layer, Service};

use crate::common::*;

fn all<T: Send + Sync + Unpin + 'static>() {}
fn service<T: Clone + Send + Sync + Unpin + 'static>(_: T) {}
fn send<T: Send>(_: T) {}

#[test]
fn layers_services_futures_and_bodies_can_be_shared_and_spawned() {
    service(StreamTimeoutLayer::new());
    let mut timeout = StreamTimeoutLayer::new().layer(Script::new());
    service(timeout.clone());
    send(timeout.call(openai(true)));
    service(SseLayer::new());
    service(SseLayer::new().drain(SECOND));
    let mut sse = SseLayer::new().layer(Script::new());
    service(sse.clone());
    send(sse.call(openai(true)));
    type Calling = testkit::Calling<llm_exchange::Payload>;
    all::<SseBody<Calling, ScriptedBody, ()>>();
    all::<SseBody<Calling, ScriptedBody, Drain>>();
    all::<StreamTimeoutBody<ScriptedBody>>();
    all::<Clock>();
    all::<client::EventStream<ScriptedBody>>();
    all::<client::DeltaStream<ScriptedBody>>();
    all::<client::LineStream<ScriptedBody>>();
    all::<client::Collect<ScriptedBody>>();
    all::<client::NotAStream<ScriptedBody>>();
    type Events = futures_util::stream::Empty<Result<sse::Event, BoxError>>;
    all::<server::EventBody<Events>>();
    all::<server::LineBody<Events>>();
}
