//! breaker-layer over real connections: a reqwest client, and generated gRPC clients against a tonic server.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use breaker_layer::{BreakerHandle, BreakerLayer, CircuitState};
use clients::{ChannelService, ReqwestService};
use common::within;
use fake_provider::{Behaviour, FakeProvider, Script};
use google_protos::generativelanguage::{
    GenerateContentRequest, generative_service_client::GenerativeServiceClient,
};
use http_body_util::BodyExt;
use llm_exchange::Refusal;
use tonic::{Code, Status, transport::Endpoint};
use tower::{Layer, ServiceExt};

const MODEL: &str = "m";

/// Five streams that die after content, and then whole ones.
async fn provider() -> FakeProvider {
    let fake = FakeProvider::start().await.unwrap();
    let dies = Behaviour::ok().deltas(3).break_at(2);
    fake.on(MODEL, Script::new().times(5, dies).then_ok());
    fake
}

fn only(handle: &BreakerHandle) -> (CircuitState, u64) {
    let [circuit] = &handle.circuits()[..] else {
        panic!("one circuit: {handle:?}");
    };
    (circuit.state, circuit.counts.failures)
}

#[tokio::test]
async fn streams_that_die_after_content_open_the_circuit_over_reqwest() {
    let fake = provider().await;
    let layer = BreakerLayer::new();
    let handle = layer.handle();
    let client = layer.layer(ReqwestService::default());
    for _ in 0..5 {
        let request = common::chat(&fake.url(), MODEL, true);
        let response = within(client.clone().oneshot(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(within(response.into_body().collect()).await.is_err());
    }
    assert_eq!(only(&handle), (CircuitState::Open, 5));
    let request = common::chat(&fake.url(), MODEL, true);
    let refused = within(client.clone().oneshot(request)).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(Refusal::of(&refused).unwrap().code(), "circuit_open");
    assert_eq!(fake.log().len(), 5, "nothing was sent");
}

#[tokio::test]
async fn streams_that_die_after_content_open_the_circuit_over_tonic() {
    let fake = provider().await;
    let layer = BreakerLayer::new();
    let handle = layer.handle();
    let channel = Endpoint::from_shared(fake.url()).unwrap().connect_lazy();
    let mut client = GenerativeServiceClient::new(layer.layer(ChannelService(channel)));
    let mut stream = async || -> Result<usize, Status> {
        let request = GenerateContentRequest {
            model: format!("models/{MODEL}"),
            ..GenerateContentRequest::default()
        };
        let mut stream = client.stream_generate_content(request).await?.into_inner();
        let mut messages = 0;
        while stream.message().await?.is_some() {
            messages += 1;
        }
        Ok(messages)
    };
    for _ in 0..5 {
        assert!(within(stream()).await.is_err());
    }
    assert_eq!(only(&handle), (CircuitState::Open, 5));
    let refused = within(stream()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let pushback = refused.metadata().get("grpc-retry-pushback-ms").unwrap();
    let pushback: u64 = pushback.to_str().unwrap().parse().unwrap();
    assert!((20_000..=33_000).contains(&pushback), "{pushback}");
    assert_eq!(fake.log().len(), 5, "nothing was sent");

    let key = &handle.circuits()[0].key;
    assert!(handle.reset(key));
    assert!(within(stream()).await.unwrap() > 0);
}
