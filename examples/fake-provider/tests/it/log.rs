//! What the server remembers.

use bytes::Bytes;
use fake_provider::{Behaviour, FakeProvider, LOG_ENTRIES, Outcome};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::client::{CHAT, ask, chat, read, send_this, start, until_last};

#[tokio::test]
async fn a_request_is_written_down_as_it_came() {
    let fake = start().await;
    let body = chat("gpt-4o").to_string();
    let request = Request::post(format!("{CHAT}?a=b")).header("x-mine", "1");
    let request = request.body(body.clone().into()).unwrap();
    read(send_this(&fake, request).await.unwrap()).await;
    let received = until_last(&fake, Outcome::Whole).await;
    assert_eq!((received.number, received.connection), (1, 1));
    assert_eq!(received.method, "POST");
    assert_eq!(
        (received.path.as_str(), received.query.as_deref()),
        (CHAT, Some("a=b"))
    );
    assert_eq!(received.headers["x-mine"], "1");
    assert_eq!(received.body, body.as_bytes());
    assert_eq!(received.model.as_deref(), Some("gpt-4o"));
    assert_eq!(received.status, Some(http::StatusCode::OK));
    assert_eq!(fake.open_streams(), 0);
}

fn with_secrets() -> Request<Full<Bytes>> {
    let mut body = chat("gpt-4o");
    body["messages"][0]["content"] = "canary-prompt".into();
    let request = Request::post(format!("{CHAT}?key=canary-query"));
    let request = request.header("authorization", "Bearer canary-bearer");
    let request = request.header("x-api-key", "canary-key");
    request.body(body.to_string().into()).expect("a request")
}

#[tokio::test]
async fn debug_shows_neither_prompt_nor_credential() {
    let fake = FakeProvider::builder()
        .require_key("canary-key")
        .start()
        .await
        .unwrap();
    fake.on("other", Behaviour::ok().require_key("canary-key"));
    let mut request = with_secrets();
    request
        .headers_mut()
        .insert("x-fake", "throttle=2".parse().unwrap());
    read(send_this(&fake, request).await.unwrap()).await;
    let shown = format!("{:?} {fake:?}", fake.log());
    assert!(
        shown.contains("gpt-4o") && !shown.contains("canary"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_shell_sees_the_log_and_bodies_only_when_asked_for() {
    let fake = start().await;
    read(send_this(&fake, with_secrets()).await.unwrap()).await;
    let log = ask(&fake, "/fake/log", "", &Value::Null).await;
    assert!(!log.text.contains("canary"), "{}", log.text);
    let entry = &log.json()[0];
    assert_eq!(
        (&entry["model"], &entry["status"]),
        (&"gpt-4o".into(), &200.into())
    );
    assert_eq!(entry["outcome"], "whole");
    let log = ask(&fake, "/fake/log?bodies", "", &Value::Null).await;
    assert!(log.text.contains("canary-prompt") && !log.text.contains("canary-key"));
    assert_eq!(fake.log().len(), 1, "looking leaves no trace");
}

#[tokio::test]
async fn requests_on_one_connection_are_told_from_those_on_two() {
    let fake = start().await;
    for _ in 0..2 {
        ask(&fake, CHAT, "", &chat("gpt-4o")).await;
    }
    let connections: Vec<_> = fake.log().iter().map(|one| one.connection).collect();
    assert_eq!(connections, [1, 2]);
}

#[tokio::test]
async fn an_answer_under_way_settles_nothing_of_a_cleared_log() {
    let fake = start().await;
    let body = crate::client::streamed(chat("stall-1"));
    let response = crate::client::send(&fake, CHAT, "", &body).await.unwrap();
    fake.clear_log();
    assert_eq!(fake.open_streams(), 1, "it is open all the same");
    ask(&fake, CHAT, "", &chat("gpt-4o")).await;
    drop(response);
    crate::client::soon(fake.idle()).await;
    let log = fake.log();
    assert_eq!(
        (log.len(), log[0].number, log[0].outcome),
        (1, 1, Outcome::Whole)
    );
}

#[tokio::test]
async fn the_log_forgets_the_oldest_beyond_its_bound() {
    let fake = start().await;
    let io = TokioIo::new(TcpStream::connect(fake.addr()).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..LOG_ENTRIES + 5 {
        sender.ready().await.unwrap();
        let request = Request::get("/v1/nothing")
            .header("host", "f")
            .body(Full::default());
        let request: Request<Full<Bytes>> = request.unwrap();
        sender
            .send_request(request)
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
    }
    let log = fake.log();
    assert_eq!((log.len(), log[0].number), (LOG_ENTRIES, 6));
    assert_eq!(log.last().unwrap().outcome, Outcome::Whole);
}
