//! The transcripts' answers, priced.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use cost_layer::Prices;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llm_exchange::{Call, Meter, Money, Payload, Price, Purchase};
use serde_json::Value;

fn transcript(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../llm-exchange/tests/transcripts");
    fs::read(path.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Micro-dollars with up to six decimals, exactly.
fn micros(number: &str) -> Money {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let picos: u128 = format!("{whole}{fraction:0<6}").parse().unwrap();
    Money::from_picos(picos)
}

/// What an answer costs at this time, read by the meter as it passes.
async fn charged(path: &str, kind: &str, body: Vec<u8>, at: SystemTime) -> Option<Money> {
    let request = r#"{"model":"m","messages":[],"max_tokens":9,"stream":true}"#;
    let request = Request::post(path).body(Full::from(request)).unwrap();
    let request = Payload::read(request, 1 << 20).await;
    let call = Call::of(&request).unwrap();
    let response = Response::builder().header("content-type", kind);
    let (meter, response) = Meter::attach(response.body(Full::from(body)).unwrap(), call);
    response.into_body().collect().await.unwrap();

    let (model, tier) = (meter.model().unwrap(), meter.service_tier());
    let (speed, geo) = (meter.speed(), meter.geo());
    let mut purchase = Purchase::new(&model, meter.usage().unwrap());
    purchase.service_tier = tier.as_deref();
    purchase.speed = speed.as_deref();
    purchase.geo = geo.as_deref();
    purchase.at = Some(at);
    Prices::builtin().price(&purchase)
}

/// What the answer in a transcript costs.
async fn cost(name: &str, path: &str, at: u64) -> Option<Money> {
    let mut body = transcript(name);
    if name.ends_with(".http") {
        let blank = body.windows(2).position(|two| two == b"\n\n").unwrap();
        body.drain(..blank + 2);
    }
    let kind = if name.ends_with(".sse") {
        "text/event-stream"
    } else {
        "application/json"
    };
    charged(path, kind, body, seconds(at)).await
}

fn seconds(since: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(since)
}

/// 20:00 on a Wednesday and 08:00 on the same day, in UTC.
const OFF_PEAK: u64 = 1_795_636_800;
const PEAK: u64 = 1_795_593_600;

#[tokio::test]
async fn every_answer_costs_what_was_computed_by_hand() {
    let (openai, anthropic) = ("/v1/chat/completions", "/v1/messages");
    for (name, path, picos) in [
        // 208 at 2, 4,096 at 0.2, 896 written at 2.5, 310 at 10
        ("02-openai-chat-response.json", openai, 6_575_200_000),
        // priority: 18 at 4, 74 at 20
        ("03-openai-chat-stream-usage.sse", openai, 1_552_000_000),
        // (50 at 4, 7,000 at 0.2, 1,000 at 5, 2,000 at 8, 120 at 20) by 1.1, and two searches
        ("22-anthropic-response.json", anthropic, 47_500_000_000),
        // 25 at 2, 4,096 at 0.1, 57 at 10
        ("23-anthropic-stream.sse", anthropic, 1_029_600_000),
        // 25 at 2, 1 at 10: it failed, and is billed
        ("24-anthropic-stream-error.sse", anthropic, 60_000_000),
        // 25 at 2, 16 at 10
        ("26-anthropic-stream-truncated.sse", anthropic, 210_000_000),
        // 44 at 1.36, 256 at 0.14, 9 at 4.18
        ("41-mistral-chat-stream.sse", openai, 133_300_000),
        // 20 at 0.15, 33 at 0.6
        ("43-groq-chat-stream.sse", openai, 22_800_000),
        // what the provider says
        ("48-openrouter-stream.sse", openai, 1_030_000_000),
    ] {
        assert_eq!(
            cost(name, path, PEAK).await,
            Some(Money::from_picos(picos)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_answer_at_night_costs_half() {
    let name = "46-deepseek-nonstream-keepalive.http";
    for (at, expected) in [(PEAK, "770.704"), (OFF_PEAK, "385.352")] {
        let found = cost(name, "/chat/completions", at).await;
        assert_eq!(found, Some(micros(expected)));
    }
}

/// Where an answer of each provider comes from.
fn path(name: &str) -> &'static str {
    match name.split('-').nth(1) {
        Some("anthropic") => "/v1/messages",
        Some("gemini") => "/v1beta/models/m:generateContent",
        Some("openai") if name.contains("-responses-") => "/v1/responses",
        _ => "/v1/chat/completions",
    }
}

#[tokio::test]
async fn every_cost_in_the_expectations_comes_out() {
    let expected: Value = serde_json::from_slice(&transcript("expected.json")).unwrap();
    let mut priced = Vec::new();
    for (name, answer) in expected.as_object().unwrap() {
        let Some(expected) = answer["cost_microusd"].as_number() else {
            continue;
        };
        // peak, as the expectations are
        let found = cost(name, path(name), PEAK).await;
        assert_eq!(found, Some(micros(&expected.to_string())), "{name}");
        priced.push(&name[..2]);
    }
    assert_eq!(priced, ["02", "07", "22", "23", "32", "46", "48"]);
}

/// xAI counts reasoning beside the completion.
#[tokio::test]
async fn reasoning_beside_the_completion_is_charged_once() {
    let body = r#"{"model":"grok-4.7","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":410,"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":300}}}"#;
    let found = charged(
        "/v1/chat/completions",
        "application/json",
        body.into(),
        seconds(PEAK),
    );
    // 36 at 2, 64 at 0.5, 310 at 6
    assert_eq!(found.await, Some(micros("1964")));
}
