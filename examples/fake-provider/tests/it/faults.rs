//! Connections that break, hang and stall.

use std::io::ErrorKind;

use fake_provider::{At, Behaviour, FakeProvider, Outcome};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::client::{
    CHAT, MESSAGES, ask, chat, content, message, read, read_until, send, send_h2, soon, start,
    streamed, until_last,
};

/// Sends over a bare socket, and says how it ended and what had come.
async fn raw(fake: &FakeProvider, body: &Value) -> (std::io::Result<()>, String) {
    let mut socket = TcpStream::connect(fake.addr()).await.expect("a socket");
    let body = body.to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: f\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket
        .write_all((head + &body).as_bytes())
        .await
        .expect("a socket");
    let mut text = Vec::new();
    let end = socket.read_to_end(&mut text).await.map(|_| ());
    (end, String::from_utf8(text).expect("UTF-8"))
}

#[tokio::test]
async fn a_closed_connection_has_no_head_and_an_orderly_end() {
    let fake = start().await;
    let (end, text) = raw(&fake, &chat("close")).await;
    assert_eq!((end.is_ok(), text.as_str()), (true, ""));
    let received = until_last(&fake, Outcome::Broken).await;
    assert_eq!(
        received.model.as_deref(),
        Some("close"),
        "the request was read"
    );
    assert_eq!(received.status, None);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let fake = start().await;
    let (end, text) = raw(&fake, &chat("reset")).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(text, "");
    until_last(&fake, Outcome::Broken).await;
}

#[tokio::test]
async fn a_head_can_be_all_that_comes() {
    let fake = start().await;
    let (end, text) = raw(&fake, &streamed(chat("break-0"))).await;
    end.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n"),
        "{text}"
    );
    until_last(&fake, Outcome::Broken).await;
    let (_, text) = raw(&fake, &chat("break-0")).await;
    assert!(
        text.contains("content-length: ") && text.ends_with("\r\n\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_hanging_call_has_no_head_and_is_dropped_with_its_caller() {
    let fake = start().await;
    let body = chat("hang");
    let mut call = Box::pin(send(&fake, CHAT, "", &body));
    tokio::select! {
        _ = &mut call => panic!("an answer"),
        () = soon(fake.until(|log| log.len() == 1)) => {}
    }
    assert_eq!(fake.open_streams(), 1);
    assert_eq!(fake.log()[0].outcome, Outcome::Open);
    drop(call);
    let received = until_last(&fake, Outcome::ClientGone).await;
    assert_eq!(received.status, None);
    assert_eq!(fake.open_streams(), 0);
}

#[tokio::test]
async fn a_hanging_call_over_http_2_is_dropped_with_its_caller() {
    let fake = start().await;
    let body = chat("hang");
    let mut call = Box::pin(send_h2(&fake, "", &body));
    tokio::select! {
        _ = &mut call => panic!("an answer"),
        () = soon(fake.until(|log| log.len() == 1)) => {}
    }
    drop(call);
    until_last(&fake, Outcome::ClientGone).await;
}

#[tokio::test]
async fn a_hang_after_the_head_shows_the_head() {
    let fake = start().await;
    let response = send(&fake, CHAT, "stall-at=0", &streamed(chat("gpt-4o")))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(fake.log()[0].outcome, Outcome::Open);
    drop(response);
    until_last(&fake, Outcome::ClientGone).await;
}

#[tokio::test]
async fn a_stall_keeps_the_connection_until_the_caller_leaves() {
    let fake = start().await;
    let mut response = send(&fake, CHAT, "", &streamed(chat("stall-3")))
        .await
        .unwrap();
    read_until(&mut response, |text| content(text) == "echo: one two ").await;
    assert_eq!(fake.log()[0].outcome, Outcome::Open);
    assert_eq!(fake.open_streams(), 1);
    drop(response);
    until_last(&fake, Outcome::ClientGone).await;
    assert_eq!(fake.open_streams(), 0);
}

#[tokio::test]
async fn a_healthy_stream_that_is_left_is_known_as_left() {
    let fake = start().await;
    let body = streamed(chat("gpt-4o"));
    let mut response = send(&fake, CHAT, "delta-delay-ms=5,deltas=100000", &body)
        .await
        .unwrap();
    read_until(&mut response, |text| content(text).contains("two")).await;
    drop(response);
    until_last(&fake, Outcome::ClientGone).await;
}

#[tokio::test]
async fn a_broken_stream_shows_its_deltas_and_then_an_error() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "break-at=2", &streamed(chat("gpt-4o"))).await;
    assert!(!read.whole);
    assert_eq!(read.content(), "echo: one ");
    until_last(&fake, Outcome::Broken).await;
}

#[tokio::test]
async fn on_http_2_a_break_loses_nothing_that_was_sent() {
    let fake = start().await;
    let response = send_h2(&fake, "break-at=2", &streamed(chat("gpt-4o")))
        .await
        .unwrap();
    let read = read(response).await;
    assert!(!read.whole);
    assert_eq!(read.content(), "echo: one ");
    assert!(send_h2(&fake, "close", &chat("gpt-4o")).await.is_err());
    assert!(send_h2(&fake, "reset", &chat("gpt-4o")).await.is_err());
}

#[tokio::test]
async fn a_truncated_stream_ends_cleanly_without_its_terminator() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "end-at=2", &streamed(chat("gpt-4o"))).await;
    assert!(read.whole);
    assert_eq!(read.content(), "echo: one ");
    assert!(!read.text.contains("[DONE]") && !read.text.contains("\"stop\""));
    let read = ask(&fake, MESSAGES, "end-at=1", &streamed(message("claude"))).await;
    assert!(read.whole && !read.text.contains("message_stop"));
    assert_eq!(
        until_last(&fake, Outcome::Whole).await.outcome,
        Outcome::Whole
    );
}

#[tokio::test]
async fn an_empty_200_is_possible() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "end-at=0", &streamed(chat("gpt-4o"))).await;
    assert_eq!(
        (read.status.as_u16(), read.text.as_str(), read.whole),
        (200, "", true)
    );
}

#[tokio::test]
async fn an_error_event_comes_where_asked_in_the_form_of_its_dialect() {
    let fake = start().await;
    for (at, before) in [("0", 0), ("open", 1), ("2", 3)] {
        let fault = format!("err-at={at}");
        let read = ask(&fake, CHAT, &fault, &streamed(chat("gpt-4o"))).await;
        let events = read.events();
        assert_eq!(
            (read.status.as_u16(), read.whole, events.len()),
            (200, true, before + 1)
        );
        assert_eq!(events[before]["error"]["type"], "server_error", "{at}");
    }
    for (at, before) in [("0", 0), ("open", 2), ("2", 4)] {
        let fault = format!("err-at={at}");
        let read = ask(&fake, MESSAGES, &fault, &streamed(message("claude"))).await;
        let events = read.events();
        assert_eq!(
            (read.status.as_u16(), read.whole, events.len()),
            (200, true, before + 1)
        );
        assert_eq!(events[before]["error"]["type"], "overloaded_error", "{at}");
        assert!(
            read.text
                .contains("event: error\ndata: {\"type\":\"error\"")
        );
    }
}

#[tokio::test]
async fn an_error_event_can_be_like_any_status() {
    let fake = start().await;
    let read = ask(
        &fake,
        MESSAGES,
        "err-at=0,err-status=429",
        &streamed(message("claude")),
    )
    .await;
    assert_eq!(read.events()[0]["error"]["type"], "rate_limit_error");
    let quota = Behaviour::ok().error_like(At::First, fake_provider::Failure::quota_exhausted());
    fake.on("gpt-4o", quota);
    let read = ask(&fake, CHAT, "", &streamed(chat("gpt-4o"))).await;
    assert_eq!(read.events()[0]["error"]["code"], "insufficient_quota");
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_goes_wrong_half_way() {
    let fake = start().await;
    let whole = ask(&fake, CHAT, "", &chat("gpt-4o")).await.text;
    let broken = ask(&fake, CHAT, "break-at=2,deltas=4", &chat("gpt-4o")).await;
    assert!(!broken.whole && whole.len() / 2 == broken.text.len());
    let ended = ask(&fake, CHAT, "end-at=2", &chat("gpt-4o")).await;
    assert!(ended.whole && serde_json::from_str::<Value>(&ended.text).is_err());
    let error = ask(&fake, CHAT, "err-at=2", &chat("gpt-4o")).await;
    assert_eq!(error.status, 200);
    assert_eq!(error.json()["error"]["type"], "server_error");
    let mut response = send(&fake, CHAT, "stall-at=2", &chat("gpt-4o"))
        .await
        .unwrap();
    read_until(&mut response, |text| text.len() > 100).await;
    drop(response);
    until_last(&fake, Outcome::ClientGone).await;
}

#[tokio::test]
async fn a_fault_beyond_the_words_makes_the_answer_longer() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "break-at=9", &streamed(chat("gpt-4o"))).await;
    assert_eq!(read.content().split_whitespace().count(), 9);
    let mut capped = streamed(chat("gpt-4o"));
    capped["max_tokens"] = 2.into();
    let read = ask(&fake, CHAT, "break-at=9", &capped).await;
    assert_eq!(
        read.content(),
        "echo: one ",
        "but not longer than the request's cap"
    );
    assert!(!read.whole);
}

#[tokio::test]
async fn a_fault_comes_even_where_there_is_no_delta() {
    let fake = start().await;
    for at in ["open", "3"] {
        let fault = format!("deltas=0,err-at={at}");
        let read = ask(&fake, CHAT, &fault, &streamed(chat("gpt-4o"))).await;
        assert_eq!(read.events().len(), 2);
        assert_eq!(read.events()[1]["error"]["type"], "server_error");
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_is_gone() {
    let fake = start().await;
    let addr = fake.addr();
    let mut response = send(&fake, CHAT, "", &streamed(chat("stall-1")))
        .await
        .unwrap();
    read_until(&mut response, |text| content(text) == "echo: ").await;
    drop(fake);
    assert!(!soon(read(response)).await.whole);
    assert!(TcpStream::connect(addr).await.is_err());
}
