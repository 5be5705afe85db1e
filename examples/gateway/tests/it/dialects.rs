//! Gemini's and Ollama's paths, and gRPC, through the gateway.

use std::time::Duration;

use fake_provider::{At, Behaviour, Failure, FakeProvider, Hint, Outcome, Script};
use google_protos::{
    aiplatform::{self, prediction_service_client::PredictionServiceClient},
    generativelanguage::{
        GenerateContentRequest, GenerateContentResponse,
        generative_service_client::GenerativeServiceClient,
    },
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tonic::{Code, Status, body::Body};

use crate::common::{House, OUR_KEY, house, house_with, start};

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]})
}

#[tokio::test]
async fn geminis_calls_are_sent_again_in_every_form_of_answer() {
    for (verb, has) in [
        ("generateContent", "\"text\":\"echo: one two three\""),
        ("streamGenerateContent?alt=sse", "data: {\"candidates\""),
        ("streamGenerateContent", "[{"),
    ] {
        let house = house().await;
        let throttled = Failure::rate_limited().hint(Hint::RetryInfo(Duration::from_millis(20)));
        house
            .fake
            .on("flash", Script::new().fail(2, throttled).then_ok());
        let answer = house
            .ask(&format!("/v1beta/models/flash:{verb}"), contents())
            .await;
        assert_eq!(answer.status, 200, "{verb}");
        assert!(answer.text.contains(has), "{}", answer.text);
        assert_eq!(answer.header("x-llm-attempts"), Some("3"));
    }
}

#[tokio::test]
async fn ollamas_lines_pass_as_they_come_and_its_failures_are_sent_again() {
    let house = house().await;
    let body = json!({"model": "llama", "messages": [{"role": "user", "content": "hi"}]});
    let first = Behaviour::ok().error_at(At::First);
    house
        .fake
        .on("llama", Script::new().times(1, first).then_ok());
    let answer = house.ask("/api/chat", &body).await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.header("x-llm-attempts"), Some("2"));
    let lines: Vec<Value> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["message"]["content"], "echo: ");
    assert_eq!(lines.last().unwrap()["done"], true);
}

#[tokio::test]
async fn what_of_ollamas_is_not_read_passes_unchanged() {
    let house = house().await;
    let body = r#"{"model": "nomic", "prompt": "hi"}"#;
    let answer = house.ask("/api/embeddings", body).await;
    assert_eq!(answer.status, 404, "the fake provider has none");
    let received = house.fake.log().remove(0);
    assert_eq!(received.path, "/api/embeddings");
    assert_eq!(received.body, body);
}

#[tokio::test]
async fn refusals_are_in_the_form_of_the_api_that_is_called() {
    let house = house().await;
    let google = house.ask("/v1beta/models/flash:generateContent", "{").await;
    assert_eq!(google.status, 400);
    let error = &google.json()["error"];
    assert_eq!(error["status"], "INVALID_ARGUMENT");
    assert_eq!(error["details"][0]["reason"], "invalid_request");
    let ollama = house.ask("/api/chat", json!({"messages": []})).await;
    assert_eq!(ollama.status, 400);
    assert_eq!(ollama.json()["error"], "the request names no model");
    assert!(house.fake.log().is_empty());
}

#[tokio::test]
async fn our_key_goes_where_gemini_has_it() {
    let house = house_with("api_key_env = \"OUR_KEY\"\ndialect = \"gemini\"", "").await;
    let path = "/v1beta/models/flash:generateContent?key=caller";
    assert_eq!(house.ask(path, contents()).await.status, 200);
    let received = house.fake.log().remove(0);
    assert_eq!(received.headers["x-goog-api-key"], OUR_KEY);
    assert!(received.query.is_none() && !received.headers.contains_key("authorization"));
}

const VERTEX: &str = "/v1/projects/p/locations/l/publishers";

#[tokio::test]
async fn vertex_ais_paths_find_their_provider_without_a_route() {
    let [openai, claude, google] = [
        FakeProvider::start().await.unwrap(),
        FakeProvider::start().await.unwrap(),
        FakeProvider::start().await.unwrap(),
    ];
    let section = |name: &str, fake: &FakeProvider| {
        let url = fake.url();
        format!("[[provider]]\nname = \"{name}\"\nbase_url = \"{url}\"\ndialect = \"{name}\"\n")
    };
    let sections = [
        section("openai", &openai),
        section("anthropic", &claude),
        section("gemini", &google),
    ];
    let text = format!("listen = \"127.0.0.1:0\"\n{}", sections.concat());
    let house = House {
        fake: openai,
        gateway: start(&text).await,
        caller: Client::builder(TokioExecutor::new()).build_http(),
    };
    let path = format!("{VERTEX}/google/models/flash:generateContent");
    assert_eq!(house.ask(&path, contents()).await.status, 200);
    assert_eq!(google.log()[0].path, path);
    let path = format!("{VERTEX}/anthropic/models/claude:rawPredict");
    let body = json!({"anthropic_version": "vertex-2023-10-16", "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(house.ask(&path, body).await.status, 200);
    assert_eq!(claude.log()[0].path, path);
    assert!(house.fake.log().is_empty());
}

#[tokio::test]
async fn our_key_is_a_bearer_token_at_vertex_ai() {
    let house = house_with("api_key_env = \"OUR_KEY\"\ndialect = \"gemini\"", "[retry]").await;
    let path = format!("{VERTEX}/google/models/flash:generateContent");
    assert_eq!(house.ask(&path, contents()).await.status, 200);
    let mut vertex =
        PredictionServiceClient::with_origin(http(), house.gateway.url().parse().unwrap());
    let of_vertex = aiplatform::GenerateContentRequest {
        model: "projects/p/locations/l/publishers/google/models/m".into(),
        ..aiplatform::GenerateContentRequest::default()
    };
    vertex.generate_content(of_vertex).await.unwrap();
    gemini(&house)
        .generate_content(ask("models/m"))
        .await
        .unwrap();
    let log = house.fake.log();
    for received in &log[..2] {
        assert_eq!(
            received.headers["authorization"],
            format!("Bearer {OUR_KEY}")
        );
        assert!(!received.headers.contains_key("x-goog-api-key"));
    }
    assert_eq!(log[2].headers["x-goog-api-key"], OUR_KEY);
}

type Http = Client<HttpConnector, Body>;

fn http() -> Http {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

fn gemini(house: &House) -> GenerativeServiceClient<Http> {
    GenerativeServiceClient::with_origin(http(), house.gateway.url().parse().unwrap())
}

fn ask(model: &str) -> GenerateContentRequest {
    GenerateContentRequest {
        model: model.into(),
        ..GenerateContentRequest::default()
    }
}

async fn stream(house: &House, model: &str) -> (Vec<GenerateContentResponse>, Option<Status>) {
    let mut messages = Vec::new();
    let mut stream = match gemini(house).stream_generate_content(ask(model)).await {
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

#[tokio::test]
async fn grpc_passes_over_http_2_with_its_trailers() {
    let house = house().await;
    let answer = gemini(&house)
        .generate_content(ask("models/m"))
        .await
        .unwrap();
    assert_eq!(answer.get_ref().model_version, "m");
    let (messages, status) = stream(&house, "models/m+deltas-3").await;
    assert!(status.is_none(), "{status:?}");
    assert_eq!(messages.len(), 4);
    let url = house.gateway.url().parse().unwrap();
    let mut vertex = PredictionServiceClient::with_origin(http(), url);
    let ask = aiplatform::GenerateContentRequest {
        model: "projects/p/locations/l/publishers/google/models/m".into(),
        ..aiplatform::GenerateContentRequest::default()
    };
    vertex.generate_content(ask).await.unwrap();
    let log = house.fake.log();
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|one| one.headers["te"] == "trailers"));
}

#[tokio::test]
async fn grpc_is_sent_again_before_its_first_message_and_told_after_it() {
    let house = house().await;
    let failure = Failure::overloaded().hint(Hint::Pushback("20".into()));
    let script = Script::new()
        .fail(2, failure)
        .then(Behaviour::ok().deltas(3));
    house.fake.on("m", script);
    let (messages, status) = stream(&house, "models/m").await;
    assert!(status.is_none(), "{status:?}");
    assert_eq!((messages.len(), house.fake.log().len()), (4, 3));

    house.fake.clear_log();
    house.fake.on("m", Behaviour::ok().break_at(2));
    let (messages, status) = stream(&house, "models/m").await;
    assert_eq!((messages.len(), house.fake.log().len()), (2, 1));
    assert!(status.is_some());
}

#[tokio::test]
async fn a_provider_of_grpc_may_be_behind_a_path() {
    let fake = FakeProvider::start().await.unwrap();
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"p\"\nbase_url = \"{}/a/proxy\"\n[retry]",
        fake.url()
    );
    let gateway = start(&text).await;
    fake.on("m", Script::new().fail(1, Failure::overloaded()).then_ok());
    let url = gateway.url().parse().unwrap();
    let mut client = GenerativeServiceClient::with_origin(http(), url);
    let answer = client.generate_content(ask("models/m")).await.unwrap();
    assert_eq!(answer.get_ref().model_version, "m");
    let log = fake.log();
    assert_eq!(log.len(), 2, "the call was known there");
    let path = "/a/proxy/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
    assert!(log.iter().all(|one| one.path == path));
}

#[tokio::test]
async fn refusals_of_grpc_calls_are_statuses() {
    let house = house().await;
    let status = gemini(&house).generate_content(ask("")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "the request names no model");
    assert!(house.fake.log().is_empty());
}

#[tokio::test]
async fn a_grpc_caller_who_leaves_takes_the_call_along() {
    let house = house().await;
    house.fake.on("m", Behaviour::ok().stall_at(1));
    let answer = gemini(&house)
        .stream_generate_content(ask("models/m"))
        .await;
    let mut messages = answer.unwrap().into_inner();
    assert!(messages.message().await.unwrap().is_some());
    drop(messages);
    let gone = house
        .fake
        .until(|log| log.iter().all(|one| one.outcome == Outcome::ClientGone));
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .unwrap();
}
