//! Connections: HTTP/2, callers that go away, and the end of the gateway.

use fake_provider::{Behaviour, Hint, Outcome};
use http::Version;
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::common::{
    Answer, CHAT, MESSAGES, SECOND, chat, house, house_with, read_until, streamed, until_closed,
};

#[tokio::test]
async fn a_caller_may_speak_http_2_from_the_start() {
    let mut house = house().await;
    house.caller = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let response = house.send(house.post(CHAT, chat("m"))).await;
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(Answer::of(response).await.json()["model"], "m");
    let answer = house.ask(MESSAGES, streamed("m")).await;
    assert!(answer.text.contains("message_stop"));
    assert_eq!(house.ask(CHAT, "nonsense").await.status, 400);
}

#[tokio::test]
async fn connections_to_the_provider_are_used_again() {
    let house = house().await;
    for _ in 0..5 {
        house.ask(CHAT, chat("m")).await;
    }
    assert!(house.fake.log().iter().all(|one| one.connection == 1));
}

#[tokio::test]
async fn a_caller_gone_in_the_middle_of_a_stream_is_told_upstream_at_once() {
    for path in [CHAT, MESSAGES] {
        let house = house().await;
        house.fake.on("m", Behaviour::ok().stall_at(1));
        let response = house.send(house.post(path, streamed("m"))).await;
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        assert_eq!(house.fake.open_streams(), 1);
        drop(body);
        house
            .fake
            .until(|log| log[0].outcome == Outcome::ClientGone)
            .await;
    }
}

#[tokio::test]
async fn a_caller_gone_before_the_answer_began_is_told_upstream_too() {
    let house = house().await;
    house.fake.on("m", Behaviour::hangs());
    let mut tcp = house.raw().await;
    let body = chat("m").to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    house.fake.until(|log| !log.is_empty()).await;
    drop(tcp);
    house
        .fake
        .until(|log| log[0].outcome == Outcome::ClientGone)
        .await;
}

#[tokio::test]
async fn a_provider_gone_in_the_middle_of_a_stream_is_told_the_caller() {
    let house = house().await;
    house.fake.on("m", Behaviour::ok().break_at(2));
    let response = house.send(house.post(CHAT, streamed("m"))).await;
    assert_eq!(response.status(), 200);
    // not a clean end of the body
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_running_stream_ends_in_peace_when_the_gateway_stops() {
    let house = house().await;
    house.fake.on("m", Behaviour::ok().delta_delay(SECOND));
    let addr = house.gateway.addr();
    let mut body = house
        .send(house.post(CHAT, streamed("m")))
        .await
        .into_body();
    body.frame().await.unwrap().unwrap();
    let stopping = tokio::spawn(house.gateway.shutdown(30 * SECOND));
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    assert!(stopping.await.unwrap());
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_pause_before_a_retry_is_answered_at_once_when_the_gateway_stops() {
    let house = house().await;
    let hint = Hint::RetryAfter("40".into());
    house.fake.on("m", Behaviour::throttled(hint));
    let call = house.caller.request(house.post(CHAT, chat("m")));
    let call = tokio::spawn(call);
    sleep(SECOND).await;
    assert_eq!(house.fake.log()[0].outcome, Outcome::Whole);
    let start = Instant::now();
    assert!(house.gateway.shutdown(30 * SECOND).await);
    assert!(start.elapsed() < SECOND);
    let answer = Answer::of(call.await.unwrap().unwrap()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["code"], "retries_stopped");
    // another instance may serve it
    assert_eq!(answer.header("x-should-retry"), None);
    assert_eq!(house.fake.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_stuck_is_cut_at_the_limit() {
    let house = house().await;
    house.fake.on("m", Behaviour::ok().stall_at(1));
    let body = house
        .send(house.post(CHAT, streamed("m")))
        .await
        .into_body();
    let start = Instant::now();
    assert!(!house.gateway.shutdown(5 * SECOND).await);
    assert_eq!(start.elapsed().as_secs(), 5);
    assert!(body.collect().await.is_err());
    house
        .fake
        .until(|log| log[0].outcome == Outcome::ClientGone)
        .await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_do_not_keep_a_gateway_from_stopping() {
    let house = house().await;
    let mut silent = house.raw().await;
    let mut kept = house.raw().await;
    kept.write_all(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut kept, "}").await;
    let http2 = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let answer = http2.request(house.post(CHAT, chat("m"))).await.unwrap();
    Answer::of(answer).await;
    let start = Instant::now();
    assert!(house.gateway.shutdown(30 * SECOND).await);
    assert!(start.elapsed() < SECOND);
    assert_eq!(until_closed(&mut silent).await, "");
    assert_eq!(until_closed(&mut kept).await, "");
}

#[tokio::test]
async fn a_call_on_a_kept_connection_is_the_last_one_when_the_gateway_stops() {
    let house = house_with("", "").await;
    house.fake.on("m", Behaviour::hangs());
    let mut tcp = house.raw().await;
    let body = chat("m").to_string();
    let call = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tcp.write_all(call.as_bytes()).await.unwrap();
    house.fake.until(|log| !log.is_empty()).await;
    let stopping = tokio::spawn(house.gateway.shutdown(30 * SECOND));
    // the provider goes away, so that the call is answered
    drop(house.fake);
    let text = until_closed(&mut tcp).await;
    assert!(text.contains("connection: close"), "{text}");
    assert!(stopping.await.unwrap());
}
