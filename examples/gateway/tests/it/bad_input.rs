//! What callers send wrong: a clear error in their dialect, never a panic or a hang.

use http::Method;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::common::{
    CHAT, MESSAGES, chat, exchange, house, in_front_of, read_until, reader, streamed, until_closed,
};

/// Code and type of an error, in the shape of the path's dialect.
fn error_of<'j>(path: &str, json: &'j Value) -> (&'j str, &'j str) {
    let error = &json["error"];
    assert!(!error["message"].as_str().unwrap().is_empty());
    let code = if path == CHAT {
        &error["code"]
    } else {
        assert_eq!(json["type"], "error");
        &error["details"]["error_code"]
    };
    (code.as_str().unwrap(), error["type"].as_str().unwrap())
}

#[tokio::test]
async fn bodies_that_can_not_be_read_are_refused_in_the_callers_dialect() {
    let house = house().await;
    for path in [CHAT, MESSAGES] {
        for (body, code) in [
            ("", "invalid_request"),
            ("{\"model\":\"m\"", "invalid_request"),
            ("not json", "invalid_request"),
            ("[]", "invalid_request"),
            ("null", "invalid_request"),
            ("\u{0}", "invalid_request"),
            ("{\"model\":7}", "invalid_request"),
            (
                "{\"model\":\"m\",\"max_tokens\":1,\"max_tokens\":9000}",
                "invalid_request",
            ),
            ("{}", "model_required"),
            ("{\"model\":null}", "model_required"),
            ("{\"model\":\"\"}", "model_required"),
        ] {
            let answer = house.ask(path, body).await;
            assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text);
            let json = answer.json();
            assert_eq!(
                error_of(path, &json),
                (code, "invalid_request_error"),
                "{body}"
            );
        }
    }
    assert!(house.fake.log().is_empty());
}

#[tokio::test]
async fn deeply_nested_json_does_no_harm() {
    let house = house().await;
    let deep = format!("{{\"model\":\"m\",\"x\":{}}}", "[".repeat(1 << 20));
    assert_eq!(house.ask(CHAT, deep).await.status, 400);
    let deep = format!(
        "{{\"model\":\"m\",\"x\":{}{}}}",
        "[".repeat(1000),
        "]".repeat(1000)
    );
    let status = house.ask(CHAT, deep).await.status.as_u16();
    assert!(matches!(status, 200 | 400), "{status}");
}

#[tokio::test]
async fn paths_that_are_not_served_are_told_so() {
    let house = house().await;
    for path in ["/v1", "/v2/chat/completions", "/v1x/y", "/chat/completions"] {
        let answer = house.ask(path, chat("m")).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error"]["code"], "unknown_path", "{path}");
    }
    assert_eq!(house.method(Method::GET, "/v1").await.status, 404);
    for path in ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/..%2fadmin"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let text = exchange(house.raw().await, head.as_bytes()).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{path}: {text}");
        assert!(text.contains("invalid_path"));
    }
    assert!(house.fake.log().is_empty());
    // the provider itself knows which paths it has
    let answer = house.ask("/v1/nothing", chat("m")).await;
    assert_eq!(answer.status, 404);
    assert_eq!(house.fake.log().len(), 1);
}

#[tokio::test]
async fn trace_and_connect_are_not_passed_on() {
    let house = house().await;
    assert_eq!(house.method(Method::TRACE, "/v1/models").await.status, 405);
    let head = b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n";
    let mut tcp = house.raw().await;
    tcp.write_all(head).await.unwrap();
    let text = read_until(&mut tcp, "}}").await;
    assert!(text.starts_with("HTTP/1.1 405 "), "{text}");
    assert!(house.fake.log().is_empty());
}

const HUGE: usize = 50_000_000;

fn announced(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_that_announces_50_mb_is_refused_before_it_is_sent() {
    let house = house().await;
    for (path, kind) in [
        (CHAT, "invalid_request_error"),
        (MESSAGES, "request_too_large"),
    ] {
        let mut tcp = house.raw().await;
        tcp.write_all(announced(path, HUGE).as_bytes())
            .await
            .unwrap();
        let text = read_until(&mut tcp, "}}").await;
        assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
        assert!(text.contains(kind), "{text}");
    }
    assert!(house.fake.log().is_empty());
}

#[tokio::test]
async fn a_caller_who_sends_all_50_mb_before_reading_gets_the_refusal_too() {
    let house = house().await;
    let mut tcp = house.raw().await;
    tcp.write_all(announced(CHAT, HUGE).as_bytes())
        .await
        .unwrap();
    tcp.write_all(&vec![b' '; HUGE]).await.unwrap();
    let text = read_until(&mut tcp, "}}").await;
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    // and the connection goes on
    tcp.write_all(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    assert!(read_until(&mut tcp, "}").await.starts_with("HTTP/1.1 200 "));
}

/// Sends 48 MiB in chunks, and then reads the answer.
async fn send_chunked(mut tcp: TcpStream) -> String {
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..48 {
        tcp.write_all(&chunk).await.unwrap();
    }
    tcp.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut tcp, "}").await
}

#[tokio::test]
async fn a_chunked_body_is_cut_where_it_gets_too_long() {
    let gateway = in_front_of(&reader(usize::MAX, 200).await).await;
    let text = send_chunked(TcpStream::connect(gateway.addr()).await.unwrap()).await;
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    assert!(text.contains("request_too_large"), "{text}");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_reaches_the_caller() {
    let gateway = in_front_of(&reader(20 << 20, 429).await).await;
    let text = send_chunked(TcpStream::connect(gateway.addr()).await.unwrap()).await;
    assert!(text.starts_with("HTTP/1.1 429 "), "{text}");
}

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let house = house().await;
    let many: String = (0..500).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(200_000));
    for flood in [many, long] {
        let head = format!("GET /v1/models HTTP/1.1\r\nhost: h\r\n{flood}\r\n");
        let mut tcp = house.raw().await;
        // the gateway may close before it has read all of it
        let _ = tcp.write_all(head.as_bytes()).await;
        let text = until_closed(&mut tcp).await;
        assert!(text.starts_with("HTTP/1.1 431 "), "{text:?}");
    }
    let long = "p".repeat(70_000);
    let text = exchange(
        house.raw().await,
        format!("GET /v1/{long} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes(),
    )
    .await;
    assert!(
        text.is_empty() || text.starts_with("HTTP/1.1 4"),
        "{text:?}"
    );
    assert!(house.fake.log().is_empty());
}

#[tokio::test]
async fn what_is_no_http_is_no_harm() {
    let house = house().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\r\n\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip\r\n\r\nhello",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut tcp = house.raw().await;
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        let text = until_closed(&mut tcp).await;
        assert!(!text.contains(" 200 "), "{text:?}");
    }
    assert_eq!(house.method(Method::GET, "/health").await.status, 200);
    assert!(house.fake.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_waited_for_30_seconds() {
    for begin in [
        "",
        "P",
        "PRI * HTTP/2.0",
        "POST /v1/chat/completions HTTP/1.1\r\nhost",
    ] {
        let house = house().await;
        let start = Instant::now();
        let mut tcp = house.raw().await;
        tcp.write_all(begin.as_bytes()).await.unwrap();
        let text = until_closed(&mut tcp).await;
        assert!(!text.contains(" 200 "), "{text:?}");
        let waited = start.elapsed();
        let limit = Duration::from_secs(30);
        assert!(
            waited >= limit && waited < limit * 3,
            "{begin:?}: {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stops_is_answered_408() {
    let house = house().await;
    for path in [CHAT, MESSAGES, "/v1/embeddings"] {
        let start = Instant::now();
        let mut tcp = house.raw().await;
        tcp.write_all(announced(path, 100).as_bytes())
            .await
            .unwrap();
        tcp.write_all(b"{\"model\":").await.unwrap();
        let text = read_until(&mut tcp, "}}").await;
        assert!(text.starts_with("HTTP/1.1 408 "), "{path}: {text}");
        assert!(text.contains("request_timeout"));
        assert!(start.elapsed() >= Duration::from_secs(60));
    }
}

#[tokio::test]
async fn fields_that_the_gateway_does_not_know_pass() {
    let house = house().await;
    let mut body = streamed("m");
    body["a_new_field"] = json!({"deep": [1, null]});
    assert_eq!(house.ask(CHAT, body).await.status, 200);
}
