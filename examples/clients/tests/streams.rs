//! sse-layer over real connections: axum in front, hyper and tonic behind, against the fake provider.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use axum::{Router, body::Body, extract::Request};
use clients::ChannelService;
use common::{chat, hyper, text, within};
use fake_provider::{At, Behaviour, FakeProvider, Outcome, Script};
use futures_util::{StreamExt, TryStreamExt};
use google_protos::generativelanguage::{
    Content, GenerateContentRequest, Part, generative_service_client::GenerativeServiceClient,
};
use http::Response;
use http_body_util::BodyExt;
use llm_exchange::{Dialect, Payload};
use retry_layer::{Backoff, Retried, RetryLayer};
use sse_layer::{
    Clock, SseLayer, StreamTimeoutLayer, client::deltas, server::EventBody, sse::Event,
};
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tower::{Layer, Service, ServiceExt};

const MODEL: &str = "gpt-6-sol";

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn provider(behaviour: impl Into<Script>) -> FakeProvider {
    let fake = FakeProvider::start().await.unwrap();
    fake.on(MODEL, behaviour);
    fake
}

/// An axum server whose only route goes through the layers to the provider; its address.
async fn server<S, B>(service: S) -> String
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<llm_exchange::BoxError>,
{
    let app = Router::new().fallback(move |request: Request| {
        let service = service.clone();
        async move {
            let response = service.oneshot(request).await.unwrap();
            response.map(Body::new)
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// The same request to the provider: where the server's caller came from is put in front.
fn to_provider(
    fake: &FakeProvider,
) -> impl Fn(http::Request<Payload>) -> http::Request<Payload> + Clone + Send + Sync + 'static {
    let url = fake.url();
    move |mut request| {
        *request.uri_mut() = format!("{url}{}", request.uri().path()).parse().unwrap();
        request.headers_mut().remove("host");
        request
    }
}

/// Through axum, both layers and hyper, to the provider and back.
async fn through(fake: &FakeProvider, sse: SseLayer, clocks: StreamTimeoutLayer) -> String {
    let client = hyper().map_request(to_provider(fake));
    server(sse.layer(clocks.layer(client))).await
}

type Answer = Response<hyper::body::Incoming>;

async fn get(url: &str) -> Answer {
    let request = chat(url, MODEL, true).map(Payload::new);
    within(hyper().oneshot(request)).await.unwrap()
}

/// What a client reads of the answer: its text, and the error that it ends in.
async fn read(response: Answer) -> (String, Option<String>) {
    let mut deltas = deltas(response, Dialect::OpenAiChat).unwrap();
    let mut said = String::new();
    let end = loop {
        match within(deltas.try_next()).await {
            Ok(Some(delta)) => said.push_str(&delta.text),
            Ok(None) => break None,
            Err(error) => {
                let error = error.provider_error().and_then(|error| error.code());
                break Some(error.unwrap_or("another error").to_owned());
            }
        }
    };
    (said, end)
}

async fn client_gone(fake: &FakeProvider) {
    within(fake.until(|log| log[0].outcome == Outcome::ClientGone)).await;
}

#[tokio::test]
async fn a_healthy_stream_comes_through_with_its_headers() {
    for behaviour in [
        Behaviour::ok(),
        Behaviour::ok().segment(7),
        Behaviour::ok().crlf().segment(1),
        Behaviour::ok().cr().ping_every(1),
    ] {
        let fake = provider(behaviour).await;
        let sse = SseLayer::new()
            .keep_alive(ms(5_000))
            .max_output_tokens(1_000);
        let clocks = StreamTimeoutLayer::new()
            .first_content(ms(5_000))
            .idle(ms(5_000));
        let response = get(&through(&fake, sse, clocks).await).await;
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        assert!(response.headers().get("content-length").is_none());
        let (said, end) = read(response).await;
        assert_eq!((&*said, end), ("echo: one two three four", None));
    }
}

#[tokio::test]
async fn events_come_one_by_one_and_a_stall_ends_in_order() {
    let fake = provider(Behaviour::ok().stall_at(2)).await;
    let clocks = StreamTimeoutLayer::new().idle(ms(300));
    let url = through(&fake, SseLayer::new(), clocks).await;
    let (said, end) = read(get(&url).await).await;
    assert_eq!(
        (&*said, end.as_deref()),
        ("echo: one ", Some("stream_timeout"))
    );
    client_gone(&fake).await;
}

#[tokio::test]
async fn what_breaks_or_ends_too_early_is_told_in_the_stream() {
    for (behaviour, code) in [
        (Behaviour::ok().break_at(2), "stream_broken"),
        (Behaviour::ok().end_at(2), "stream_truncated"),
        (Behaviour::ok().end_at(2).segment(5), "stream_truncated"),
        (Behaviour::ok().error_at(2), "server_error"),
    ] {
        let fake = provider(behaviour).await;
        let url = through(&fake, SseLayer::new(), StreamTimeoutLayer::new()).await;
        let all = within(text(get(&url).await)).await;
        assert!(all.contains(code), "{code}: {all}");
        assert!(all.ends_with("\n\n"), "{all}");
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_a_504_that_a_retry_acts_on() {
    let fake = provider(Behaviour::hangs()).await;
    let clocks = || StreamTimeoutLayer::new().headers(ms(200));
    let response = get(&through(&fake, SseLayer::new(), clocks()).await).await;
    assert_eq!(response.status(), 504);
    client_gone(&fake).await;

    let early = Behaviour::ok().stall_at(At::Opened);
    for fault in [Behaviour::hangs(), early] {
        let fake = provider(Script::new().times(1, fault).then_ok()).await;
        let backoff = Backoff::new().initial(ms(1)).jitter(0.0).unwrap();
        let retry = RetryLayer::new().backoff(backoff);
        let service = retry.layer(clocks().first_content(ms(300)).layer(hyper()));
        let response = within(service.oneshot(chat(&fake.url(), MODEL, true)))
            .await
            .unwrap();
        assert_eq!(Retried::of(&response).unwrap().attempts, 2);
        assert!(Clock::of(&response).is_none());
        assert!(within(text(response)).await.ends_with("data: [DONE]\n\n"));
    }
}

#[tokio::test]
async fn an_unstreamed_body_that_hangs_after_its_head_is_caught() {
    let fake = provider(Behaviour::ok().stall_at(1)).await;
    let clocks = StreamTimeoutLayer::new().silence(ms(300)).hold(ms(0));
    let url = through(&fake, SseLayer::new(), clocks).await;
    let request = chat(&url, MODEL, false).map(Payload::new);
    let response = within(hyper().oneshot(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    // axum closes the connection, as the answer cannot be ended in order
    within(response.into_body().collect()).await.unwrap_err();
    client_gone(&fake).await;
}

#[tokio::test]
async fn at_the_cap_the_provider_is_let_go() {
    let fake = provider(Behaviour::ok().deltas(1_000).delta_delay(ms(5))).await;
    let sse = SseLayer::new().max_output_tokens(5);
    let url = through(&fake, sse, StreamTimeoutLayer::new()).await;
    let all = within(text(get(&url).await)).await;
    assert!(all.contains("\"finish_reason\":\"length\""), "{all}");
    assert!(all.ends_with("data: [DONE]\n\n"));
    client_gone(&fake).await;
}

#[tokio::test]
async fn a_long_thinking_pause_is_kept_alive() {
    let fake = provider(Behaviour::ok().think(ms(700))).await;
    let sse = SseLayer::new().keep_alive(ms(100));
    let url = through(&fake, sse, StreamTimeoutLayer::new()).await;
    let all = within(text(get(&url).await)).await;
    assert!(all.matches(": keep-alive\n\n").count() >= 3, "{all}");
    assert!(all.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_head_may_come_before_the_providers() {
    let fake = provider(Behaviour::ok().head_delay(ms(1_500))).await;
    let sse = SseLayer::new().early_head(ms(50)).keep_alive(ms(100));
    let url = through(&fake, sse, StreamTimeoutLayer::new()).await;
    let start = Instant::now();
    let response = get(&url).await;
    assert!(start.elapsed() < ms(1_000), "{:?}", start.elapsed());
    let (said, end) = read(response).await;
    assert_eq!((&*said, end), ("echo: one two three four", None));
}

#[tokio::test]
async fn when_the_caller_goes_the_provider_is_let_go_or_read_on() {
    let slow = || Behaviour::ok().deltas(30).delta_delay(ms(20));
    let fake = provider(slow()).await;
    let url = through(&fake, SseLayer::new(), StreamTimeoutLayer::new()).await;
    let mut body = get(&url).await.into_body();
    within(body.frame()).await.unwrap().unwrap();
    drop(body);
    client_gone(&fake).await;

    let fake = provider(slow()).await;
    let client = hyper().map_request(to_provider(&fake));
    let url = server(SseLayer::new().drain(ms(10_000)).layer(client)).await;
    let mut body = get(&url).await.into_body();
    within(body.frame()).await.unwrap().unwrap();
    drop(body);
    within(fake.until(|log| log[0].outcome == Outcome::Whole)).await;
}

#[tokio::test]
async fn a_generated_grpc_client_sees_the_status_of_a_stalled_stream() {
    let fake = provider(Behaviour::ok().stall_at(2)).await;
    let channel = Endpoint::from_shared(fake.url()).unwrap().connect_lazy();
    let clocks = StreamTimeoutLayer::new().idle(ms(300));
    let mut client = GenerativeServiceClient::new(clocks.layer(ChannelService(channel)));
    let part = Part {
        text: Some("one two three".into()),
        ..Part::default()
    };
    let ask = GenerateContentRequest {
        model: format!("models/{MODEL}"),
        contents: vec![Content {
            parts: vec![part],
            ..Content::default()
        }],
        ..GenerateContentRequest::default()
    };
    let mut stream = within(client.stream_generate_content(ask.clone()))
        .await
        .unwrap()
        .into_inner();
    let mut messages = 0;
    let status = loop {
        match within(stream.message()).await {
            Ok(Some(_)) => messages += 1,
            Ok(None) => panic!("it ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!(
        (messages, status.code()),
        (2, tonic::Code::DeadlineExceeded)
    );
    assert_eq!(status.message(), "no content for 300ms");

    let fake = provider(Behaviour::hangs()).await;
    let channel = Endpoint::from_shared(fake.url()).unwrap().connect_lazy();
    let clocks = StreamTimeoutLayer::new().headers(ms(300));
    let mut client = GenerativeServiceClient::new(clocks.layer(ChannelService(channel)));
    let status = within(client.stream_generate_content(ask))
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_stream_of_events_is_an_axum_answer() {
    let app = Router::new().fallback(|| async {
        let events = futures_util::stream::iter(["{}", "[DONE]"].map(Event::new));
        EventBody::new(events.map(Ok::<_, std::convert::Infallible>)).into_response()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let response = get(&url).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(within(text(response)).await, "data: {}\n\ndata: [DONE]\n\n");
}
