//! Streams that sse-layer ends, as generated gRPC clients of both Google services read them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use clients::ChannelService;
use fake_provider::{Behaviour, FakeProvider};
use google_protos::{aiplatform, generativelanguage};
use sse_layer::{Sse, SseLayer, StreamTimeout, StreamTimeoutLayer};
use tonic::{Code, Status, transport::Endpoint};
use tower::Layer;

/// Of the finish reasons, in both services.
const STOP: i32 = 1;
const MAX_TOKENS: i32 = 2;

type Service = Sse<StreamTimeout<ChannelService>>;

async fn service(behaviour: Behaviour, sse: SseLayer) -> (FakeProvider, Service) {
    let fake = FakeProvider::start().await.unwrap();
    fake.on("m", behaviour);
    let channel = Endpoint::from_shared(fake.url()).unwrap().connect_lazy();
    let clocks = StreamTimeoutLayer::new().idle(Duration::from_millis(400));
    (fake, sse.layer(clocks.layer(ChannelService(channel))))
}

/// A stream as a client reads it: messages of candidates, each with a finish reason, and the usage.
macro_rules! read {
    ($client:expr, $request:expr) => {
        async {
            let mut stream = $client
                .stream_generate_content($request)
                .await?
                .into_inner();
            let mut read = Read::default();
            while let Some(message) = stream.message().await? {
                read.messages += 1;
                for candidate in &message.candidates {
                    read.finish = candidate.finish_reason;
                    read.index = candidate.index;
                    let role = candidate
                        .content
                        .as_ref()
                        .map(|content| content.role.clone());
                    read.role = role.unwrap_or_default();
                }
                if let Some(usage) = message.usage_metadata {
                    read.output = usage.candidates_token_count;
                }
            }
            let trailers = stream.trailers().await?;
            assert!(trailers.is_some());
            Ok::<_, Status>(read)
        }
        .await
    };
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    messages: usize,
    finish: i32,
    index: i32,
    role: String,
    output: i32,
}

async fn gemini(service: Service) -> Result<Read, Status> {
    use generativelanguage::generative_service_client::GenerativeServiceClient;
    let request = generativelanguage::GenerateContentRequest {
        model: "models/m".into(),
        ..Default::default()
    };
    read!(GenerativeServiceClient::new(service), request)
}

async fn vertex(service: Service) -> Result<Read, Status> {
    use aiplatform::prediction_service_client::PredictionServiceClient;
    let request = aiplatform::GenerateContentRequest {
        model: "projects/p/locations/l/publishers/google/models/m".into(),
        ..Default::default()
    };
    read!(PredictionServiceClient::new(service), request)
}

#[tokio::test]
async fn at_the_cap_the_last_message_says_so_and_the_call_is_ok() {
    let slow = || {
        Behaviour::ok()
            .deltas(500)
            .delta_delay(Duration::from_millis(2))
    };
    let capped = || SseLayer::new().max_output_tokens(5);
    let (_fake, layered) = service(slow(), capped()).await;
    let read = gemini(layered).await.unwrap();
    let (_other, layered) = service(slow(), capped()).await;
    let other = vertex(layered).await.unwrap();
    for read in [read, other] {
        assert_eq!(
            (read.finish, &*read.role, read.index),
            (MAX_TOKENS, "model", 0)
        );
        assert!((5..20).contains(&read.output), "{read:?}");
        assert!((3..20).contains(&read.messages), "{read:?}");
    }
}

#[tokio::test]
async fn a_stream_that_fails_has_a_status_that_says_how() {
    for (behaviour, code, message) in [
        (
            Behaviour::ok().break_at(2),
            Code::Unavailable,
            "the provider's stream broke",
        ),
        (
            Behaviour::ok().end_at(2),
            Code::Unavailable,
            "the provider's stream ended before its answer was complete",
        ),
        (
            Behaviour::ok().stall_at(2),
            Code::DeadlineExceeded,
            "no content for 400ms",
        ),
    ] {
        let (_fake, layered) = service(behaviour.clone(), SseLayer::new()).await;
        let status = gemini(layered).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
        let (_fake, layered) = service(behaviour, SseLayer::new()).await;
        let status = vertex(layered).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
    }
}

#[tokio::test]
async fn a_healthy_stream_is_what_it_was() {
    let sse = SseLayer::new().max_output_tokens(1_000);
    let (_fake, layered) = service(Behaviour::ok().deltas(3), sse).await;
    let read = gemini(layered).await.unwrap();
    assert_eq!((read.messages, read.finish), (4, STOP));
}
