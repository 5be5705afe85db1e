//! retry-layer under generated gRPC clients, over real connections to a tonic server.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use clients::ChannelService;
use fake_provider::{At, Behaviour, Failure, FakeProvider, Hint, Outcome, Script};
use google_protos::{
    aiplatform::{self, prediction_service_client::PredictionServiceClient},
    generativelanguage::{
        GenerateContentRequest, GenerateContentResponse,
        generative_service_client::GenerativeServiceClient,
    },
};
use llm_exchange::Standard;
use retry_layer::{Backoff, Retry, RetryLayer};
use tokio::time::Instant;
use tonic::{Code, Status, transport::Endpoint};
use tower::Layer;

type Retrying = Retry<ChannelService, Standard, ()>;
type Client = GenerativeServiceClient<Retrying>;

fn quick() -> RetryLayer {
    let backoff = Backoff::new()
        .initial(Duration::from_millis(1))
        .jitter(0.0)
        .unwrap();
    RetryLayer::new().backoff(backoff)
}

fn channel(fake: &FakeProvider) -> ChannelService {
    let endpoint = Endpoint::from_shared(fake.url()).unwrap();
    ChannelService(endpoint.connect_lazy())
}

fn client(fake: &FakeProvider) -> Client {
    GenerativeServiceClient::new(quick().layer(channel(fake)))
}

fn ask(model: &str) -> GenerateContentRequest {
    GenerateContentRequest {
        model: format!("models/{model}"),
        ..GenerateContentRequest::default()
    }
}

/// The messages of a stream, and how it ended.
async fn stream(
    client: &mut Client,
    model: &str,
) -> (Vec<GenerateContentResponse>, Option<Status>) {
    let mut messages = Vec::new();
    let mut stream = match client.stream_generate_content(ask(model)).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return (messages, Some(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, None),
            Err(status) => return (messages, Some(status)),
        }
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("within 20 s")
}

#[tokio::test]
async fn a_failure_before_the_first_message_is_invisible() {
    for (name, failure) in [
        ("unavailable", Behaviour::fails(Failure::overloaded())),
        ("throttled", Behaviour::fails(Failure::rate_limited())),
        ("internal", Behaviour::fails(Failure::status(500))),
        (
            "a status in the trailers",
            Behaviour::ok().error_at(At::First),
        ),
        (
            "reset before a message",
            Behaviour::ok().break_at(At::First),
        ),
        ("no trailers", Behaviour::ok().end_at(At::First)),
        ("no head", Behaviour::closes()),
        ("out of time", Behaviour::fails(Failure::status(504))),
    ] {
        let fake = FakeProvider::start().await.unwrap();
        fake.on(
            "m",
            Script::new()
                .times(2, failure.deltas(3))
                .then(Behaviour::ok().deltas(3)),
        );
        let (messages, status) = within(stream(&mut client(&fake), "m")).await;
        assert!(status.is_none(), "{name}: {status:?}");
        assert_eq!((messages.len(), fake.log().len()), (4, 3), "{name}");
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_sent_again() {
    let never = Failure::overloaded().hint(Hint::Pushback("-1".into()));
    let garbage = Failure::overloaded().hint(Hint::Pushback("soon".into()));
    for (failure, code) in [
        (Failure::context_too_long(), Code::InvalidArgument),
        (Failure::status(404), Code::NotFound),
        (Failure::status(401), Code::Unauthenticated),
        (Failure::quota_exhausted(), Code::ResourceExhausted),
        (never, Code::Unavailable),
        (garbage, Code::Unavailable),
    ] {
        let fake = FakeProvider::start().await.unwrap();
        fake.on("m", Behaviour::fails(failure));
        let status = within(client(&fake).generate_content(ask("m")))
            .await
            .unwrap_err();
        assert_eq!((status.code(), fake.log().len()), (code, 1));
    }
}

#[tokio::test]
async fn the_wait_that_the_server_asks_for_is_kept() {
    for hint in [
        Hint::Pushback("150".into()),
        Hint::RetryInfo(Duration::from_millis(150)),
    ] {
        // in the head of an answer without messages, and in trailers after a head
        for failure in [
            Behaviour::throttled(hint.clone()),
            Behaviour::ok().error_like(0, Failure::rate_limited().hint(hint.clone())),
        ] {
            let fake = FakeProvider::start().await.unwrap();
            fake.on("m", Script::new().times(1, failure).then_ok());
            let began = Instant::now();
            let (messages, status) = within(stream(&mut client(&fake), "m")).await;
            assert!(status.is_none() && !messages.is_empty());
            assert!(began.elapsed() >= Duration::from_millis(150), "{hint:?}");
            assert_eq!(fake.log().len(), 2);
        }
    }
}

#[tokio::test]
async fn after_the_first_message_a_failure_is_told_and_nothing_is_sent_again() {
    for failure in [Behaviour::ok().break_at(2), Behaviour::ok().error_at(2)] {
        let fake = FakeProvider::start().await.unwrap();
        fake.on("m", failure);
        let (messages, status) = within(stream(&mut client(&fake), "m")).await;
        assert_eq!(messages.len(), 2);
        assert!(status.is_some());
        assert_eq!(fake.log().len(), 1);
    }
}

#[tokio::test]
async fn both_services_are_known_and_a_retry_says_which_attempt_it_is() {
    let fake = FakeProvider::start().await.unwrap();
    let failure = Behaviour::fails(Failure::overloaded());
    fake.on("m", Script::new().times(1, failure).then_ok());
    let mut client = PredictionServiceClient::new(quick().layer(channel(&fake)));
    let ask = aiplatform::GenerateContentRequest {
        model: "projects/p/locations/l/publishers/google/models/m".into(),
        ..aiplatform::GenerateContentRequest::default()
    };
    within(client.generate_content(ask)).await.unwrap();
    let log = fake.log();
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].headers["x-llm-attempt"], "2");
    assert_eq!(log[0].body, log[1].body);
}

#[tokio::test]
async fn a_caller_that_leaves_takes_the_call_along() {
    let fake = FakeProvider::start().await.unwrap();
    fake.on("m", Behaviour::ok().stall_at(1));
    let mut client = client(&fake);
    let mut stream = client
        .stream_generate_content(ask("m"))
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    drop(stream);
    within(fake.until(|log| log.iter().all(|one| one.outcome == Outcome::ClientGone))).await;
}

#[test]
fn the_layer_fits_whatever_a_tonic_client_is_built_on() {
    fn fits<S: tonic::client::GrpcService<tonic::body::Body>>() {}
    fits::<Retrying>();
}
