//! Who may call, by a key of the gateway's or by the header of a proxy in front of it.

use gateway::{Config, Gateway, StartError};
use google_protos::generativelanguage::{
    GenerateContentRequest, generative_service_client::GenerativeServiceClient,
};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tonic::Code;

use crate::common::{
    Answer, CHAT, House, MESSAGES, OUR_KEY, chat, config, house_with, read_until, streamed,
};

const KEY: &str = "api_key_env = \"OUR_KEY\"";
const KEYS: &str = "[auth]\nkeys_env = \"GATEWAY_KEYS\"\n[cost]\nledger = \"memory\"";
const HEADER: &str = "[auth]\nuser_header = \"x-user-id\"\n[cost]\nledger = \"memory\"";
const GEMINI: &str = "/v1beta/models/flash:generateContent";

/// A call with these headers alone.
async fn call(house: &House, path: &str, body: Value, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = house.post(path, body);
    request.headers_mut().remove("authorization");
    for (name, value) in headers {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_str(value));
        request.headers_mut().append(name, value.unwrap());
    }
    Answer::of(house.send(request).await).await
}

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

async fn calls_of(house: &House, user: &str) -> u64 {
    let path = format!("/report/users/{user}");
    let report = house.method(Method::GET, &path).await.json();
    report["requests"].as_u64().unwrap()
}

/// What went upstream: no key of a caller, no name of one, and the provider's key.
fn assert_hidden(house: &House) {
    let log = house.fake.log();
    assert!(!log.is_empty());
    for one in log {
        let all = format!("{:?} {:?}", one.headers, one.query);
        assert_eq!(one.headers["authorization"], format!("Bearer {OUR_KEY}"));
        assert!(!all.contains("sk-a") && !all.contains("sk-b"), "{all}");
        assert!(!all.contains("alice") && !one.headers.contains_key("x-user-id"));
    }
}

#[tokio::test]
async fn a_key_is_taken_wherever_an_api_has_it_and_is_never_seen_upstream() {
    let house = house_with(KEY, KEYS).await;
    for (path, body, headers) in [
        (
            CHAT,
            chat("m"),
            &[("authorization", "Bearer sk-a-4711")][..],
        ),
        (
            CHAT,
            streamed("m"),
            &[("authorization", "bearer  sk-a-4711 ")],
        ),
        (CHAT, chat("m"), &[("api-key", "sk-a-4711")]),
        (MESSAGES, streamed("m"), &[("x-api-key", "sk-a-4711")]),
        (GEMINI, contents(), &[("x-goog-api-key", "sk-a-4711")]),
        (
            // an SDK that wants a token of its own
            MESSAGES,
            streamed("m"),
            &[("authorization", "Bearer none"), ("x-api-key", "sk-a-4711")],
        ),
    ] {
        let answer = call(&house, path, body, headers).await;
        assert_eq!(answer.status, 200, "{path} {headers:?}: {}", answer.text);
    }
    for query in ["key=sk-a-4711", "alt=json&key=sk%2Da%2D4711"] {
        let path = format!("{GEMINI}?{query}");
        let answer = call(&house, &path, contents(), &[]).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    }
    assert_eq!(calls_of(&house, "alice").await, 8);
    // one of the keys of a user, as long as it changes
    for key in ["sk-b-4711", "sk-b/new+"] {
        let headers = [("authorization", &*format!("Bearer {key}"))];
        assert_eq!(call(&house, CHAT, chat("m"), &headers).await.status, 200);
    }
    assert_eq!(calls_of(&house, "bob").await, 2);
    assert_hidden(&house);
}

#[tokio::test]
async fn without_a_valid_key_a_call_is_refused_as_its_api_would_and_none_is_sent() {
    let house = house_with(KEY, KEYS).await;
    for headers in [
        &[][..],
        &[("authorization", "Bearer sk-a-471")],
        &[("authorization", "Bearer sk-a-4711x")],
        &[("authorization", "sk-a-4711")],
        &[("authorization", "Basic sk-a-4711")],
        &[("authorization", "Bearer ")],
        &[("x-api-key", "alice")],
        &[("x-api-key", "alice=sk-a-4711")],
        // the provider's own is no caller's
        &[("x-api-key", OUR_KEY)],
        &[("x-user-id", "alice")],
        &[("cookie", "key=sk-a-4711")],
    ] {
        let answer = call(&house, CHAT, chat("m"), headers).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
        assert!(!answer.text.contains("4711"), "{}", answer.text);
    }
    let anthropic = call(&house, MESSAGES, chat("m"), &[]).await.json();
    assert_eq!(anthropic["error"]["type"], "authentication_error");
    let path = format!("{GEMINI}?key=sk-a");
    let google = call(&house, &path, contents(), &[]).await;
    assert_eq!(google.status, 401);
    assert_eq!(google.json()["error"]["status"], "UNAUTHENTICATED");
    let ollama = call(&house, "/api/chat", chat("m"), &[]).await;
    assert!(ollama.json()["error"].is_string(), "{}", ollama.text);
    // nor what is no call of a model
    let models = house.method(Method::GET, "/v1/models").await;
    assert_eq!(models.status, 401);
    assert_eq!(house.method(Method::GET, "/health").await.status, 200);
    assert!(house.fake.log().is_empty());
}

#[tokio::test]
async fn grpc_has_the_key_in_its_metadata() {
    let house = house_with(&format!("{KEY}\ndialect = \"gemini\""), KEYS).await;
    let http = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<tonic::body::Body>();
    let client = GenerativeServiceClient::with_origin(http, house.gateway.url().parse().unwrap());
    let ask = |metadata: Option<(&'static str, &'static str)>| {
        let mut request = tonic::Request::new(GenerateContentRequest {
            model: "models/m".into(),
            ..GenerateContentRequest::default()
        });
        if let Some((name, value)) = metadata {
            let value = value.parse().unwrap();
            request.metadata_mut().insert(name, value);
        }
        let mut client = client.clone();
        async move { client.generate_content(request).await }
    };
    for metadata in [
        ("x-goog-api-key", "sk-a-4711"),
        ("authorization", "Bearer sk-a-4711"),
    ] {
        ask(Some(metadata)).await.unwrap();
    }
    assert_eq!(calls_of(&house, "alice").await, 2);
    for metadata in [None, Some(("x-goog-api-key", "sk-a"))] {
        let status = ask(metadata).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
        assert!(status.message().contains("no key"), "{status:?}");
    }
    let log = house.fake.log();
    assert_eq!(log.len(), 2);
    for one in log {
        assert_eq!(one.headers["x-goog-api-key"], OUR_KEY);
        assert!(!one.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn of_a_stranger_no_body_is_waited_for() {
    let house = house_with(KEY, KEYS).await;
    let mut tcp = house.raw().await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: 10000000\r\n\r\n{{");
    tcp.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut tcp, "invalid_api_key").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[tokio::test]
async fn a_proxy_in_front_names_the_user() {
    let house = house_with(KEY, HEADER).await;
    let of = |name| [("x-user-id", name)];
    assert_eq!(
        call(&house, CHAT, chat("m"), &of("alice")).await.status,
        200
    );
    assert_eq!(calls_of(&house, "alice").await, 1);
    let long = "a".repeat(257);
    for headers in [
        &[][..],
        &of(""),
        &of(&long),
        &of("a\tb"),
        // one of them may be the caller's own
        &[("x-user-id", "alice"), ("x-user-id", "bob")],
    ] {
        let answer = call(&house, CHAT, chat("m"), headers).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert_eq!(answer.json()["error"]["code"], "user_required");
    }
    assert_hidden(&house);
    assert_eq!(house.fake.log().len(), 1);
}

#[tokio::test]
async fn with_both_the_key_lets_a_call_through_and_the_header_says_whose_it_is() {
    let sections = KEYS.replace("[cost]", "user_header = \"x-user-id\"\n[cost]");
    let house = house_with(KEY, &sections).await;
    let key = ("authorization", "Bearer sk-b-4711");
    let named = [key, ("x-user-id", "alice")];
    assert_eq!(call(&house, CHAT, chat("m"), &named).await.status, 200);
    assert_eq!(call(&house, CHAT, chat("m"), &[key]).await.status, 200);
    let keyless = [("x-user-id", "alice")];
    assert_eq!(call(&house, CHAT, chat("m"), &keyless).await.status, 401);
    assert_eq!(calls_of(&house, "alice").await, 1);
    assert_eq!(calls_of(&house, "bob").await, 1);
    assert_hidden(&house);
}

#[tokio::test]
async fn without_the_section_anybody_calls_and_the_header_means_nothing() {
    let house = house_with(KEY, "[cost]\nledger = \"memory\"").await;
    let headers = [("x-user-id", "alice")];
    assert_eq!(call(&house, CHAT, chat("m"), &headers).await.status, 200);
    assert_eq!(calls_of(&house, "alice").await, 0);
    assert_eq!(house.fake.log()[0].headers["x-user-id"], "alice");
}

#[tokio::test]
async fn two_users_of_one_provider_do_not_share_answers_of_the_cache() {
    let sections = format!("{KEYS}\n[cache]");
    let house = house_with(KEY, &sections).await;
    let mut body = chat("m");
    body["temperature"] = 0.into();
    for (key, calls) in [
        ("sk-a-4711", 1),
        ("sk-a-4711", 1),
        ("sk-b-4711", 2),
        ("sk-b/new+", 2),
    ] {
        let answer = call(&house, CHAT, body.clone(), &[("x-api-key", key)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(house.fake.log().len(), calls, "{key}");
    }
}

#[tokio::test]
async fn beyond_this_machine_it_listens_where_callers_have_keys_and_not_where_a_header_names_them()
{
    let text = |sections: &str| {
        format!(
            "listen = \"0.0.0.0:0\"\n[[provider]]\nname = \"p\"\nbase_url = \"http://127.0.0.1:1\"\n{KEY}\n{sections}"
        )
    };
    let gateway = Gateway::start(config(&text(KEYS))).await.unwrap();
    // and there the reports need a token, which nobody has
    let port = gateway.addr().port();
    let http = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let ask = Request::get(format!("http://127.0.0.1:{port}/report/daily"));
    let ask = ask.header("authorization", "Bearer sk-a-4711");
    let answer = http.request(ask.body(Full::default()).unwrap()).await;
    assert_eq!(answer.unwrap().status(), 401);
    let refused = Gateway::start(config(&text(HEADER))).await.unwrap_err();
    assert!(matches!(refused, StartError::OpenKeys(_)), "{refused}");
    let error = Config::from_toml(&text(KEYS).replace(KEY, ""), |_| Some("a=b".into()));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("[[provider]] name: it needs api_key_env"),
        "{error}"
    );
}
