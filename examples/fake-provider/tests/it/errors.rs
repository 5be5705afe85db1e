//! Error answers: status, hints, bodies.

use std::time::{Duration, SystemTime};

use fake_provider::{Behaviour, Failure, FakeProvider, Hint};
use http::Request;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::client::{CHAT, MESSAGES, ask, chat, message, read, send_this, start, streamed};

#[tokio::test]
async fn failures_have_the_shape_of_their_dialect() {
    let fake = start().await;
    for (option, status, kind, code) in [
        ("throttle", 429, "tokens", json!("rate_limit_exceeded")),
        (
            "quota",
            429,
            "insufficient_quota",
            json!("insufficient_quota"),
        ),
        ("fail", 500, "server_error", Value::Null),
        (
            "overloaded",
            503,
            "service_unavailable_error",
            json!("server_is_overloaded"),
        ),
        (
            "context-length",
            400,
            "invalid_request_error",
            json!("context_length_exceeded"),
        ),
        ("status=502", 502, "server_error", Value::Null),
        (
            "status=404",
            404,
            "invalid_request_error",
            json!("model_not_found"),
        ),
    ] {
        let read = ask(&fake, CHAT, option, &chat("gpt-4o")).await;
        assert_eq!(read.status, status, "{option}");
        assert!(read.header("x-request-id").is_some());
        let error = &read.json()["error"];
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!(kind), &code),
            "{option}"
        );
    }
    for (option, status, kind) in [
        ("throttle", 429, "rate_limit_error"),
        ("fail", 500, "api_error"),
        ("overloaded", 529, "overloaded_error"),
        ("context-length", 400, "invalid_request_error"),
        ("status=403", 403, "permission_error"),
    ] {
        let read = ask(&fake, MESSAGES, option, &streamed(message("claude"))).await;
        assert_eq!(read.status, status, "{option}");
        let json = read.json();
        assert_eq!(
            (&json["type"], &json["error"]["type"]),
            (&json!("error"), &json!(kind))
        );
        assert_eq!(json["request_id"], read.header("request-id").unwrap());
    }
    let quota = ask(&fake, MESSAGES, "quota", &message("claude")).await;
    assert_eq!(quota.status, 429);
    assert_eq!(
        quota.json()["error"]["details"]["error_code"],
        "enforced_spend_limit_reached"
    );
}

#[tokio::test]
async fn every_hint_is_the_header_it_names() {
    let fake = start().await;
    for (hint, name, value) in [
        ("retry-after=2", "retry-after", "2"),
        ("retry-after=0.5", "retry-after", "0.5"),
        ("retry-after=soon", "retry-after", "soon"),
        ("retry-after-ms=1820", "retry-after-ms", "1820"),
        ("reset-tokens-ms=360000", "x-ratelimit-reset-tokens", "6m0s"),
        (
            "reset-tokens-ms=360000",
            "x-ratelimit-remaining-tokens",
            "0",
        ),
        ("reset-requests-ms=12", "x-ratelimit-reset-requests", "12ms"),
        (
            "anthropic-reset=17",
            "anthropic-ratelimit-input-tokens-remaining",
            "0",
        ),
        ("should-retry=false", "x-should-retry", "false"),
        ("should-retry=true", "x-should-retry", "true"),
        ("header=x-odd: it is", "x-odd", "it is"),
    ] {
        let read = ask(&fake, CHAT, &format!("throttle,{hint}"), &chat("gpt-4o")).await;
        assert_eq!(read.status, 429);
        assert_eq!(read.header(name), Some(value), "{hint}");
    }
}

#[tokio::test]
async fn dates_lie_as_far_from_now_as_asked() {
    let fake = start().await;
    let read = ask(
        &fake,
        CHAT,
        "throttle,retry-after-date=3600",
        &chat("gpt-4o"),
    )
    .await;
    let at = httpdate::parse_http_date(read.header("retry-after").unwrap()).unwrap();
    let date = httpdate::parse_http_date(read.header("date").unwrap()).unwrap();
    let ahead = at.duration_since(date).unwrap();
    assert!((3590..=3610).contains(&ahead.as_secs()), "{ahead:?}");
    let past = ask(
        &fake,
        CHAT,
        "throttle,retry-after-date=-3600",
        &chat("gpt-4o"),
    )
    .await;
    let at = httpdate::parse_http_date(past.header("retry-after").unwrap()).unwrap();
    assert!(at < date);

    let read = ask(
        &fake,
        MESSAGES,
        "throttle,anthropic-reset=3600",
        &message("claude"),
    )
    .await;
    let reset = read
        .header("anthropic-ratelimit-input-tokens-reset")
        .unwrap();
    let at: jiff::Timestamp = reset.parse().unwrap();
    let date = date.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let ahead = at.as_second() - i64::try_from(date.as_secs()).unwrap();
    assert!((3590..=3610).contains(&ahead), "{reset}");
}

#[tokio::test]
async fn bodies_are_as_long_as_asked() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "fail,error-bytes=70000", &chat("gpt-4o")).await;
    assert_eq!(read.text.len(), 70_000);
    assert_eq!(read.json()["error"]["type"], "server_error");
    let read = ask(
        &fake,
        CHAT,
        "status=502,html,error-bytes=140000",
        &chat("gpt-4o"),
    )
    .await;
    assert_eq!(read.header("content-type"), Some("text/html"));
    assert_eq!(read.text.len(), 140_000);
    assert!(read.text.starts_with("<html>") && read.text.ends_with("</html>\n"));
    let read = ask(&fake, CHAT, "fail,html,error-bytes=3", &chat("gpt-4o")).await;
    assert_eq!(read.text, "<ht");
}

#[tokio::test]
async fn a_failure_written_in_code_can_have_any_body_and_header() {
    let fake = start().await;
    let failure = Failure::status(503)
        .hint(Hint::RetryAfter("1".into()))
        .header(
            "x-amzn-errortype".parse().unwrap(),
            "Throttling".parse().unwrap(),
        )
        .body("text/plain", "");
    fake.on("gpt-4o", Behaviour::fails(failure));
    let read = ask(&fake, CHAT, "", &chat("gpt-4o")).await;
    assert_eq!((read.status.as_u16(), read.text.as_str()), (503, ""));
    assert_eq!(read.header("content-type"), Some("text/plain"));
    assert_eq!(read.header("x-amzn-errortype"), Some("Throttling"));
    assert_eq!(read.header("retry-after"), Some("1"));
    assert_eq!(
        fake.open_streams(),
        0,
        "an empty body has ended before anybody reads it"
    );
}

#[tokio::test]
async fn an_error_can_be_late() {
    let fake = start().await;
    let began = tokio::time::Instant::now();
    ask(&fake, CHAT, "fail,head-delay-ms=30", &chat("gpt-4o")).await;
    assert!(began.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn a_request_that_cannot_be_answered_is_refused_in_its_dialect() {
    let fake = start().await;
    let mut no_cap = message("claude");
    no_cap.as_object_mut().unwrap().remove("max_tokens");
    let mut no_choice = chat("gpt-4o");
    no_choice["n"] = 0.into();
    for (path, body, wrong) in [
        (CHAT, json!({"messages": [{}]}), "model"),
        (CHAT, json!({"model": "m"}), "messages"),
        (
            CHAT,
            json!({"model": "m", "messages": [{}], "stream": "yes"}),
            "stream",
        ),
        (
            CHAT,
            json!({"model": "m", "messages": [{}], "max_tokens": -1}),
            "max_tokens",
        ),
        (CHAT, json!("no object"), "model"),
        (CHAT, no_choice, "n:"),
        (MESSAGES, no_cap, "max_tokens"),
    ] {
        let read = ask(&fake, path, "", &body).await;
        assert_eq!(read.status, 400, "{body}");
        let error = &read.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert!(
            error["message"].as_str().unwrap().starts_with(wrong),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_no_json_is_a_400() {
    let fake = start().await;
    let request = Request::post(CHAT).body("{\"model\":".into()).unwrap();
    let read = read(send_this(&fake, request).await.unwrap()).await;
    assert_eq!(read.status, 400);
    assert_eq!(
        read.json()["error"]["message"],
        "The body is not valid JSON."
    );
}

#[tokio::test]
async fn an_unreadable_x_fake_is_a_400_that_says_what_is_wrong() {
    let fake = start().await;
    let read = ask(&fake, MESSAGES, "throtle=2", &message("claude")).await;
    assert_eq!(read.status, 400);
    let json = read.json();
    assert_eq!(json["type"], "error");
    let message = json["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("x-fake: \"throtle\" is no option; there are"),
        "{message}"
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let fake = start().await;
    let read = ask(&fake, "/v1/nothing", "", &chat("gpt-4o")).await;
    assert_eq!(read.status, 404);
    let message = read.json()["error"]["message"].clone();
    assert_eq!(message, "Unknown request URL: POST /v1/nothing.");
    assert_eq!(ask(&fake, CHAT, "", &Value::Null).await.status, 405);
}

#[tokio::test]
async fn a_request_that_is_too_long_is_a_413_also_for_who_sends_all_before_reading() {
    const LENGTH: usize = 24 << 20;
    let fake = start().await;
    let mut tcp = TcpStream::connect(fake.addr()).await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\ncontent-length: {LENGTH}\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    tcp.write_all(&vec![b' '; LENGTH]).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(fake.log()[0].body.is_empty());
}

#[tokio::test]
async fn a_demanded_key_is_taken_from_every_usual_header() {
    let fake = FakeProvider::builder()
        .require_key("sk-1")
        .start()
        .await
        .unwrap();
    let denied = ask(&fake, CHAT, "", &chat("gpt-4o")).await;
    assert_eq!(denied.status, 401);
    assert_eq!(denied.json()["error"]["code"], "invalid_api_key");
    let denied = ask(&fake, MESSAGES, "", &message("claude")).await;
    assert_eq!(denied.json()["error"]["type"], "authentication_error");
    for (name, value, status) in [
        ("authorization", "Bearer sk-1", 200),
        ("x-api-key", "sk-1", 200),
        ("api-key", "sk-1", 200),
        ("authorization", "Bearer sk-2", 401),
        ("authorization", "Basic sk-1", 401),
    ] {
        let body = chat("gpt-4o").to_string();
        let request = Request::post(CHAT)
            .header(name, value)
            .body(body.into())
            .unwrap();
        assert_eq!(
            send_this(&fake, request).await.unwrap().status(),
            status,
            "{name}: {value}"
        );
    }
    let open = start().await;
    assert_eq!(
        ask(&open, CHAT, "key=sk-1", &chat("gpt-4o")).await.status,
        401
    );
}
