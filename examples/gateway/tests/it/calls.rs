//! LLM calls, streamed and not, throttled and broken.

use fake_provider::{At, Behaviour, Failure, Hint, Outcome, Script};
use http_body_util::BodyExt;

use crate::common::*;

#[tokio::test]
async fn a_normal_call_of_either_dialect_is_answered() {
    let world = World::new().await;
    let response = world.chat("gpt-4o", false).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-llm-attempts"], "1");
    let answer = json(response).await;
    assert!(
        answer["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .contains("four")
    );

    let request = world.post("/v1/messages", messages("claude-sonnet-5-5", false));
    let answer = json(world.send(request).await).await;
    assert!(
        answer["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("four")
    );
}

#[tokio::test]
async fn events_are_handed_on_one_by_one_as_they_come() {
    let world = World::new().await;
    world.fake.on("gpt-4o", Behaviour::ok().stall_at(2));
    let mut body = world.chat("gpt-4o", true).await.into_body();
    let mut seen = String::new();
    // the provider never says more: what it said must have come through
    while seen.matches("\"content\":\"").count() < 3 {
        let frame = within(body.frame()).await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    assert!(!seen.contains("[DONE]"));
}

#[tokio::test]
async fn a_throttled_call_is_answered_after_all() {
    let world = World::new().await;
    for stream in [false, true] {
        world.fake.on(
            "gpt-4o",
            Script::new().throttle(2, Hint::RetryAfterMs(20)).then_ok(),
        );
        let response = world.chat("gpt-4o", stream).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-llm-attempts"], "3");
        assert!(text(response).await.contains("four"));
    }
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_content_is_retried_unseen() {
    let world = World::new().await;
    for failure in [
        Behaviour::ok().error_at(At::First),
        Behaviour::ok().break_at(At::Opened),
        Behaviour::closes(),
    ] {
        world
            .fake
            .on("gpt-4o", Script::new().times(1, failure).then_ok());
        let response = world.chat("gpt-4o", true).await;
        assert_eq!(response.headers()["x-llm-attempts"], "2");
        assert!(text(response).await.ends_with("data: [DONE]\n\n"));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_breaks_for_the_caller_too() {
    let world = World::new().await;
    world.fake.on("gpt-4o", Behaviour::ok().break_at(2));
    let response = world.chat("gpt-4o", true).await;
    within(response.into_body().collect()).await.unwrap_err();
}

#[tokio::test]
async fn a_used_up_quota_goes_back_at_once_and_says_not_again() {
    let world = World::new().await;
    world
        .fake
        .on("gpt-4o", Behaviour::fails(Failure::quota_exhausted()));
    let response = world.chat("gpt-4o", false).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["x-should-retry"], "false");
    assert_eq!(world.fake.log().len(), 1);
}

#[tokio::test]
async fn a_caller_who_goes_away_takes_the_upstream_call_along() {
    let world = World::new().await;
    world.fake.on("gpt-4o", Behaviour::ok().stall_at(2));
    let mut body = world.chat("gpt-4o", true).await.into_body();
    within(body.frame()).await.unwrap().unwrap();
    drop(body);
    // the client's pool would keep the connection
    drop(world.client);
    within(
        world
            .fake
            .until(|log| log[0].outcome == Outcome::ClientGone),
    )
    .await;
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_a_502_in_the_callers_dialect() {
    let world = World::new().await;
    let config = "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"away\"\n\
                  base_url = \"http://127.0.0.1:1\"\ndialect = \"openai\"\n";
    let config = gateway::Config::parse(config, None, |_| None).unwrap();
    let gateway = gateway::Gateway::start(config).await.unwrap();
    let mut request = world.post("/v1/messages", messages("claude", false));
    *request.uri_mut() = format!("http://{}/v1/messages", gateway.address())
        .parse()
        .unwrap();
    let response = world.send(request).await;
    assert_eq!(response.status(), 502);
    let error = json(response).await;
    assert_eq!(error["error"]["type"], "api_error");
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
}
