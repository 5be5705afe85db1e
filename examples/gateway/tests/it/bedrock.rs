//! Amazon Bedrock's paths through the gateway: Converse, and Anthropic's models invoked.

use fake_provider::{At, Behaviour, Failure, Hint, Script};
use futures_util::TryStreamExt;
use http::Method;
use llm_exchange::Dialect;
use serde_json::{Value, json};
use sse_layer::client::deltas;

use crate::common::*;

const NOVA: &str = "amazon.nova-pro-v1:0";
const CONVERSE: &str = "/model/amazon.nova-pro-v1%3A0/converse";
const CLAUDE: &str = "anthropic.claude-sonnet-5-5-v1:0";
const INVOKE: &str = "/model/anthropic.claude-sonnet-5-5-v1:0/invoke";

const BEDROCK: &str = "dialect = \"bedrock\"";
const ALL: &str = "[retry]\ninitial_delay = \"10ms\"\n[sse]\n[cost]\nledger = \"memory\"";

fn conversation() -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": "one two three"}]}]})
}

fn invoked() -> Value {
    json!({
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "one two three"}],
    })
}

/// What a client reads of a stream, and the error that it ends in.
async fn stream(
    house: &House,
    path: &str,
    body: Value,
    dialect: Dialect,
) -> (String, Option<String>) {
    let response = house.send(house.post(path, body)).await;
    assert_eq!(response.status(), 200);
    let kind = &response.headers()["content-type"];
    assert_eq!(kind, "application/vnd.amazon.eventstream");
    let mut deltas = deltas(response, dialect).unwrap();
    let mut said = String::new();
    loop {
        match deltas.try_next().await {
            Ok(Some(delta)) => said.push_str(&delta.text),
            Ok(None) => return (said, None),
            Err(error) => {
                let error = error.provider_error().and_then(|error| error.code());
                return (said, Some(error.unwrap_or("another error").to_owned()));
            }
        }
    }
}

async fn conversed(house: &House) -> (String, Option<String>) {
    let path = format!("{CONVERSE}-stream");
    stream(house, &path, conversation(), Dialect::BedrockConverse).await
}

/// The only line of today's report.
async fn booked(house: &House) -> Value {
    let daily = house.method(Method::GET, "/report/daily").await.json();
    assert_eq!(daily.as_array().unwrap().len(), 1, "{daily}");
    daily[0].clone()
}

#[tokio::test]
async fn a_throttled_call_is_sent_again_and_booked_by_its_usage_streamed_or_not() {
    let house = house_with(BEDROCK, ALL).await;
    let throttled = || {
        let hint = Hint::RetryAfterMs(20);
        Script::new()
            .fail(2, Failure::rate_limited().hint(hint))
            .then_ok()
    };
    house.fake.on(NOVA, throttled());
    let answer = house.ask(CONVERSE, conversation()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("x-llm-attempts"), Some("3"));
    let message = &answer.json()["output"]["message"];
    assert_eq!(message["content"][0]["text"], "echo: one two three");
    let cost: f64 = answer.header("x-llm-cost-usd").unwrap().parse().unwrap();
    assert!(cost > 0.0);
    let line = booked(&house).await;
    assert_eq!(
        (&line["model"], &line["estimated"]),
        (&json!(NOVA), &json!(0))
    );
    assert_eq!(
        (&line["input_tokens"], &line["output_tokens"]),
        (&json!(3), &json!(4))
    );

    house.fake.on(NOVA, throttled());
    assert_eq!(
        conversed(&house).await,
        ("echo: one two three".into(), None)
    );
    let line = booked(&house).await;
    assert_eq!(
        (&line["requests"], &line["estimated"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(
        (&line["input_tokens"], &line["output_tokens"]),
        (&json!(6), &json!(8))
    );
    assert!((line["cost_usd"].as_f64().unwrap() - 2.0 * cost).abs() < 1e-9);
    assert_eq!(house.fake.log().len(), 6);
}

#[tokio::test]
async fn what_goes_wrong_before_the_first_word_is_nobodys_loss() {
    for (name, fault) in [
        ("an exception at once", Behaviour::ok().error_at(At::First)),
        (
            "an exception after the start",
            Behaviour::ok().error_at(At::Opened),
        ),
        (
            "broken after the start",
            Behaviour::ok().break_at(At::Opened),
        ),
        ("no end", Behaviour::ok().end_at(At::Opened)),
        ("overloaded", Behaviour::fails(Failure::overloaded())),
        ("the model failed", Behaviour::fails(Failure::status(424))),
        ("closed", Behaviour::closes()),
    ] {
        let house = house_with(BEDROCK, ALL).await;
        house.fake.on(NOVA, Script::new().times(1, fault).then_ok());
        let read = conversed(&house).await;
        assert_eq!(read, ("echo: one two three".into(), None), "{name}");
        assert_eq!(house.fake.log().len(), 2, "{name}");
    }
}

#[tokio::test]
async fn what_goes_wrong_after_it_is_an_exception_and_what_was_said_is_charged() {
    // the provider's name for it, or ours
    for (fault, code) in [
        (
            Behaviour::ok().error_like(2, Failure::rate_limited()),
            "throttlingException",
        ),
        (Behaviour::ok().error_at(2), "serviceUnavailableException"),
        (Behaviour::ok().break_at(2), "stream_broken"),
        (Behaviour::ok().end_at(2), "stream_truncated"),
    ] {
        let house = house_with(BEDROCK, ALL).await;
        house.fake.on(NOVA, fault);
        let (said, error) = conversed(&house).await;
        assert_eq!(said, "echo: one ", "{code}");
        assert_eq!(error.as_deref(), Some(code));
        assert_eq!(house.fake.log().len(), 1);
        let line = booked(&house).await;
        assert_eq!(
            (&line["requests"], &line["estimated"]),
            (&json!(1), &json!(1))
        );
        assert!(line["output_tokens"].as_u64().unwrap() > 0);
    }
}

#[tokio::test]
async fn an_invoked_model_is_read_in_its_vendors_format() {
    let house = house_with(BEDROCK, ALL).await;
    let throttled = Failure::rate_limited().hint(Hint::RetryAfterMs(20));
    house
        .fake
        .on(CLAUDE, Script::new().fail(1, throttled).then_ok());
    let path = format!("{INVOKE}-with-response-stream");
    let read = stream(&house, &path, invoked(), Dialect::AnthropicMessages).await;
    assert_eq!(read, ("echo: one two three".into(), None));
    assert_eq!(house.fake.log().len(), 2);
    let answer = house.ask(INVOKE, invoked()).await;
    assert_eq!(answer.json()["content"][0]["text"], "echo: one two three");
    let line = booked(&house).await;
    assert_eq!(
        (&line["model"], &line["estimated"]),
        (&json!(CLAUDE), &json!(0))
    );
    assert_eq!(
        (&line["input_tokens"], &line["output_tokens"]),
        (&json!(6), &json!(8))
    );
    house.fake.on(
        CLAUDE,
        Behaviour::ok().error_like(1, Failure::rate_limited()),
    );
    let (said, error) = stream(&house, &path, invoked(), Dialect::AnthropicMessages).await;
    assert_eq!(
        (&*said, error.as_deref()),
        ("echo: ", Some("throttlingException"))
    );
}

#[tokio::test]
async fn our_refusals_are_in_amazons_form_and_our_key_is_a_bearers() {
    let of_provider = format!("{BEDROCK}\napi_key_env = \"OUR_KEY\"");
    let house = house_with(&of_provider, "[budget]\nper_request_tokens = 300").await;
    let mut long = conversation();
    long["messages"][0]["content"][0]["text"] = "word ".repeat(1_000).into();
    let refused = house.ask(CONVERSE, long).await;
    assert_eq!(refused.status, 413, "{}", refused.text);
    assert!(refused.json()["message"].is_string(), "{}", refused.text);
    assert!(house.fake.log().is_empty());
    let unreadable = house.ask(CONVERSE, "{").await;
    assert_eq!(unreadable.status, 400);
    assert!(unreadable.json()["message"].is_string());
    assert_eq!(house.ask(CONVERSE, conversation()).await.status, 200);
    let received = house.fake.log().remove(0);
    assert_eq!(
        received.headers["authorization"],
        format!("Bearer {OUR_KEY}")
    );
}

#[tokio::test]
async fn a_route_leads_from_one_model_of_converse_to_another() {
    let other = "us.amazon.nova-lite-v1:0";
    let route = format!(
        "[[route]]\nmodel = \"{NOVA}\"\nchain = [{{ provider = \"fake\" }}, {{ provider = \"fake\", model = \"{other}\" }}]"
    );
    let house = house_with(BEDROCK, &route).await;
    house.fake.on(NOVA, Behaviour::fails(Failure::overloaded()));
    let answer = house.ask(CONVERSE, conversation()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let models: Vec<_> = house.fake.log().into_iter().map(|one| one.model).collect();
    assert_eq!(models, [Some(NOVA.to_owned()), Some(other.to_owned())]);
}
