//! Bad input gets a clear answer, in the caller's dialect, and nothing hangs.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::*;

#[tokio::test]
async fn what_no_provider_could_read_is_answered_here_and_says_why() {
    let world = World::new().await;
    for (body, why) in [
        ("{bad", "not JSON"),
        ("", "not JSON"),
        ("{}", "no model"),
        (r#"{"model":""}"#, "no model"),
        (r#"{"model":"a","max_tokens":1,"max_tokens":9999}"#, "twice"),
        (r#"{"model":7}"#, "type"),
    ] {
        let response = world.send(world.post("/v1/chat/completions", body)).await;
        assert_eq!(response.status(), 400, "{body}");
        let error = json(response).await;
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert!(
            error["error"]["message"].as_str().unwrap().contains(why),
            "{error}"
        );

        let response = world.send(world.post("/v1/messages", body)).await;
        let error = json(response).await;
        assert_eq!(error["type"], "error");
        assert!(
            error["error"]["message"].as_str().unwrap().contains(why),
            "{error}"
        );
    }
    assert!(world.fake.log().is_empty());
}

#[tokio::test]
async fn an_unknown_path_is_a_404_in_json() {
    let world = World::new().await;
    for path in ["/", "/nothing", "/v2/chat/completions", "/v1"] {
        let response = world.send(world.post(path, "{}")).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(json(response).await["error"]["code"], "unknown_path");
    }
}

#[tokio::test]
async fn health_says_ok() {
    let world = World::new().await;
    let get = Request::get(world.url("/health"))
        .body(Full::default())
        .unwrap();
    assert_eq!(text(world.send(get).await).await, "ok\n");
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_unread() {
    let world = World::new().await;
    let mut stream = tokio::net::TcpStream::connect(world.gateway.address())
        .await
        .unwrap();
    let head = "POST /v1/messages HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
                content-length: 50000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 400];
    let read = within(stream.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_off_at_the_limit() {
    let world = World::new().await;
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    let pieces =
        (0..50).map(move |_| Ok::<_, std::io::Error>(http_body::Frame::data(piece.clone())));
    let body = StreamBody::new(futures_util::stream::iter(pieces));
    let request = Request::post(world.url("/v1/messages"))
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    // the answer may be overtaken by the end of the connection; what counts is that both end
    match within(client.request(request)).await {
        Ok(response) => assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE),
        Err(error) => assert!(!error.is_connect(), "{error}"),
    }
    assert!(world.fake.log().is_empty());
}

#[tokio::test]
async fn an_upload_that_breaks_off_reaches_no_provider() {
    let world = World::new().await;
    let mut stream = tokio::net::TcpStream::connect(world.gateway.address())
        .await
        .unwrap();
    let head = "POST /v1/messages HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
                content-length: 500\r\n\r\n{\"model\":\"a\"";
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    // a call after it is served as ever
    assert_eq!(world.chat("gpt-4o", false).await.status(), 200);
    assert_eq!(world.fake.log().len(), 1);
}

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let world = World::new().await;
    for head in [
        format!(
            "GET /health HTTP/1.1\r\nhost: g\r\n{}\r\n",
            "x-a: 1\r\n".repeat(500)
        ),
        format!(
            "GET /health HTTP/1.1\r\nhost: g\r\nx-a: {}\r\n\r\n",
            "a".repeat(200 << 10)
        ),
    ] {
        let mut stream = tokio::net::TcpStream::connect(world.gateway.address())
            .await
            .unwrap();
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = vec![0; 100];
        let read = within(stream.read(&mut answer)).await.unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
    }
    assert_eq!(world.chat("gpt-4o", false).await.status(), 200);
}

#[tokio::test]
async fn bytes_that_are_no_http_end_the_connection_and_nothing_else() {
    let world = World::new().await;
    let mut stream = tokio::net::TcpStream::connect(world.gateway.address())
        .await
        .unwrap();
    stream
        .write_all(b"\x16\x03\x01\x00\xff\xff\xff\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(world.chat("gpt-4o", false).await.status(), 200);
}

#[tokio::test]
async fn a_compressed_request_passes_through_as_it_is() {
    let world = World::new().await;
    let mut request = world.post("/v1/chat/completions", &b"\x1f\x8bjunk"[..]);
    request
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    let response = world.send(request).await;
    let _ = tokio::time::timeout(Duration::from_secs(5), response.into_body().collect()).await;
    let call = &world.fake.log()[0];
    assert_eq!(&call.body[..], b"\x1f\x8bjunk");
    assert_eq!(call.headers["content-encoding"], "gzip");
}
