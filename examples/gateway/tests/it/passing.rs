//! What goes through, and what does not.

use fake_provider::{Behaviour, Failure, FakeProvider};
use gateway::{Gateway, StartError};
use http::{HeaderName, HeaderValue, Method};

use crate::common::{
    Answer, CHAT, House, MESSAGES, OUR_KEY, chat, config, house, house_with, in_front_of, reader,
    start, streamed,
};

const KEY: &str = "api_key_env = \"OUR_KEY\"";

#[tokio::test]
async fn the_callers_credential_is_replaced_and_never_seen_upstream() {
    let house = house_with(KEY, "[retry]").await;
    let mut request = house.post(&format!("{CHAT}?key=sk-caller&a=b"), chat("m"));
    for name in [
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "openai-organization",
    ] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static("sk-caller"));
    }
    assert_eq!(house.send(request).await.status(), 200);
    let received = &house.fake.log()[0];
    assert_eq!(
        received.headers["authorization"],
        format!("Bearer {OUR_KEY}")
    );
    assert_eq!(received.query.as_deref(), Some("a=b"));
    let seen = received.headers.values();
    assert!(
        seen.into_iter()
            .all(|value| !value.as_bytes().starts_with(b"sk-caller"))
    );
}

#[tokio::test]
async fn anthropics_key_goes_into_its_own_header() {
    let house = house_with(&format!("{KEY}\ndialect = \"anthropic\""), "").await;
    house.ask(MESSAGES, streamed("m")).await;
    let received = &house.fake.log()[0];
    assert_eq!(received.headers["x-api-key"], OUR_KEY);
    assert!(!received.headers.contains_key("authorization"));
}

#[tokio::test]
async fn without_a_key_of_ours_the_callers_own_passes() {
    let house = house().await;
    house.ask(&format!("{CHAT}?key=k"), chat("m")).await;
    let received = &house.fake.log()[0];
    assert_eq!(received.headers["authorization"], "Bearer sk-caller");
    assert_eq!(received.query.as_deref(), Some("key=k"));
}

#[tokio::test]
async fn cookies_and_what_is_meant_for_one_connection_never_go_upstream() {
    let house = house().await;
    let mut request = house.post(CHAT, chat("m"));
    for (name, value) in [
        ("cookie", "session=1"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic x"),
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-stainless-lang", "python"),
    ] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    assert_eq!(house.send(request).await.status(), 200);
    let received = &house.fake.log()[0];
    let mut names: Vec<_> = received.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let left = [
        "authorization",
        "content-length",
        "content-type",
        "host",
        "x-stainless-lang",
    ];
    assert_eq!(names, left);
    assert_eq!(received.headers["host"], house.fake.addr().to_string());
}

#[tokio::test]
async fn an_answer_brings_no_cookie_and_nothing_of_the_other_connection() {
    let house = house().await;
    let failure = [
        ("set-cookie", "a=b"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("x-own", "1"),
    ]
    .into_iter()
    .fold(Failure::status(400), |failure, (name, value)| {
        failure.header(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    house.fake.on("m", Behaviour::fails(failure));
    let answer = house.ask(CHAT, chat("m")).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("x-own"), Some("1"));
    for name in ["set-cookie", "x-hop", "connection"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn other_methods_and_paths_under_v1_pass() {
    let house = house().await;
    let models = house.method(Method::GET, "/v1/models?limit=2").await;
    assert_eq!(models.status, 200);
    assert!(models.json()["data"].is_array());
    for (method, path) in [
        (Method::HEAD, "/v1/models"),
        (Method::OPTIONS, CHAT),
        (Method::DELETE, "/v1/files/a%20b"),
        (Method::POST, "/v1/audio/speech"),
    ] {
        house.method(method, path).await;
    }
    let log = house.fake.log();
    assert_eq!(log[0].query.as_deref(), Some("limit=2"));
    let seen: Vec<_> = log
        .iter()
        .map(|one| (one.method.as_str(), &*one.path))
        .collect();
    let sent = [
        ("GET", "/v1/models"),
        ("HEAD", "/v1/models"),
        ("OPTIONS", "/v1/chat/completions"),
        ("DELETE", "/v1/files/a%20b"),
        ("POST", "/v1/audio/speech"),
    ];
    assert_eq!(seen, sent);
}

#[tokio::test]
async fn a_base_url_may_have_a_path_and_its_v1_is_not_doubled() {
    let mut house = house().await;
    for (base, path) in [("/v1", CHAT), ("/openai/", "/openai/v1/chat/completions")] {
        house.fake.clear_log();
        house.gateway = start(&format!(
            "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"p\"\nbase_url = \"{}{base}\"",
            house.fake.url()
        ))
        .await;
        assert_eq!(house.ask(CHAT, chat("m")).await.status, 200);
        assert_eq!(house.fake.log()[0].path, path);
    }
}

#[tokio::test]
async fn each_dialect_goes_to_its_own_provider() {
    let mut house = house().await;
    let other = FakeProvider::start().await.unwrap();
    house.gateway = start(&format!(
        "listen = \"127.0.0.1:0\"\n\
         [[provider]]\nname = \"o\"\nbase_url = \"{}\"\n\
         [[provider]]\nname = \"a\"\nbase_url = \"{}\"\ndialect = \"anthropic\"\n",
        house.fake.url(),
        other.url()
    ))
    .await;
    house.ask(CHAT, chat("m")).await;
    house.ask(MESSAGES, streamed("m")).await;
    house.ask("/v1/messages/count_tokens", streamed("m")).await;
    assert_eq!(house.fake.log().len(), 1);
    assert_eq!(other.log().len(), 2);
}

#[tokio::test]
async fn a_compressed_request_passes_untouched() {
    let house = house().await;
    let mut request = house.post(CHAT, "\u{1f}not really gzip");
    request
        .headers_mut()
        .insert("content-encoding", HeaderValue::from_static("gzip"));
    // the fake provider can't read it; that it answers is the point
    assert_eq!(house.send(request).await.status(), 400);
    let received = &house.fake.log()[0];
    assert_eq!(received.headers["content-encoding"], "gzip");
    assert_eq!(received.body, "\u{1f}not really gzip");
}

#[tokio::test]
async fn a_call_too_large_to_be_kept_still_passes() {
    let mut house = house().await;
    house.gateway = in_front_of(&reader(17 << 20, 200).await).await;
    let words = "x".repeat(17 << 20);
    let answer = house
        .ask(CHAT, chat("m").to_string().replace("one", &words))
        .await;
    assert_eq!(answer.status, 200);
    // what passes once is not counted in attempts
    assert_eq!(answer.header("x-llm-attempts"), None);
}

#[tokio::test]
async fn a_page_of_the_web_can_not_spend_our_key() {
    let from = async |house: &House, origin| {
        let mut request = house.post(CHAT, chat("m"));
        request
            .headers_mut()
            .insert("origin", HeaderValue::from_static(origin));
        Answer::of(house.send(request).await).await
    };
    let keyed = house_with(KEY, "").await;
    let refused = from(&keyed, "https://evil.example").await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["error"]["code"], "origin_not_allowed");
    assert_eq!(from(&keyed, "http://localhost:3000").await.status, 200);
    assert_eq!(keyed.fake.log().len(), 1);
    // with its own key it is its own affair
    assert_eq!(
        from(&house().await, "https://app.example").await.status,
        200
    );
}

#[tokio::test]
async fn a_key_of_ours_is_not_offered_to_other_machines() {
    let text = format!(
        "listen = \"0.0.0.0:0\"\n[[provider]]\nname = \"p\"\nbase_url = \"http://127.0.0.1:1\"\n{KEY}"
    );
    let refused = Gateway::start(config(&text)).await.unwrap_err();
    assert!(matches!(refused, StartError::OpenKeys(_)));
    assert!(
        refused.to_string().contains("listen on 127.0.0.1"),
        "{refused}"
    );
    // callers with keys of their own may come from anywhere
    assert!(Gateway::start(config(&text.replace(KEY, ""))).await.is_ok());
}

#[tokio::test]
async fn health_needs_no_provider() {
    let house = house().await;
    let answer = house.method(Method::GET, "/health").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["status"], "ok");
    assert!(house.fake.log().is_empty());
}
