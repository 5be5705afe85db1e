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
    all::<StreamTimeoutBody<ScriptedBody>>();
    all::<Clock>();
}
