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
    let request_body = match kind {
        // an empty message
        "application/grpc" => "\0\0\0\0\0",
        _ => r#"{"model":"m","messages":[],"max_tokens":9,"stream":true}"#,
    };
    let asked = match kind {
        "application/grpc" => kind,
        _ => "application/json",
    };
    let request = Request::post(path).header("content-type", asked);
    let request = request.body(Full::from(request_body)).unwrap();
    let request = Payload::read(request, 1 << 20).await;
    let call = Call::of(&request).unwrap();
    let response = Response::builder().header("content-type", kind);
    let (meter, response) = Meter::attach(response.body(Full::from(body)).unwrap(), call);
    response.into_body().collect().await.unwrap();

    // where the answer names none, it is the one that was asked
    let model = meter
        .model()
        .unwrap_or_else(|| call.model().unwrap().into());
    let tier = meter.service_tier();
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
    if name.ends_with(".hex") {
        let hex = String::from_utf8(body).unwrap();
        let pairs = hex.trim().as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        body = pairs.map(byte).collect();
    }
    if name.ends_with(".http") {
        let blank = body.windows(2).position(|two| two == b"\n\n").unwrap();
        body.drain(..blank + 2);
    }
    let kind = match name.rsplit('.').next() {
        Some("sse") => "text/event-stream",
        Some("ndjson") => "application/x-ndjson",
        Some("bin") => "application/vnd.amazon.eventstream",
        Some("hex") => "application/grpc",
        _ => "application/json",
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
        _ if name.starts_with("16") => "/v1/completions",
        _ if name.starts_with("17") => "/v1/embeddings",
        _ if name.starts_with("34") => "/v1beta/models/m:streamGenerateContent",
        _ if name.starts_with("57") => {
            "/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/converse"
        }
        _ if name.starts_with("58") => {
            "/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/converse-stream"
        }
        _ if name.starts_with("62") => {
            "/google.cloud.aiplatform.v1.PredictionService/GenerateContent"
        }
        _ if name.starts_with("63") => {
            "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent"
        }
        Some("ollama") => "/api/chat",
        Some("anthropic") => "/v1/messages",
        Some("gemini") => "/v1beta/models/m:generateContent",
        Some("openai") if name.contains("-responses-") => "/v1/responses",
        _ => "/v1/chat/completions",
    }
}

/// What answers cost of which the expectations give the tokens alone, in pico-dollars, computed by hand: tokens
/// times dollars for a million. `None`: the list has no price for the model.
const BY_HAND: [(&str, Option<u128>); 16] = [
    // priority: 18 * 4 + 74 * 20 = 1,552
    ("03", Some(1_552_000_000)),
    // 40 * 4 + 1,024 * 20 = 20,640
    ("10", Some(20_640_000_000)),
    // gpt-3.5-turbo-instruct
    ("16", None),
    // 8 * 0.02 = 0.16
    ("17", Some(160_000)),
    // 25 * 2 + 1 * 10 = 60
    ("24", Some(60_000_000)),
    // 25 * 2 + 16 * 10 = 210
    ("26", Some(210_000_000)),
    // 10 * 0.75 + 55 * 3.75 = 213.75
    ("33", Some(213_750_000)),
    // 10 * 0.75 + 3 * 3.75 = 18.75
    ("34", Some(18_750_000)),
    // 12 * 0.75 = 9
    ("39", Some(9_000_000)),
    // 44 * 1.36 + 256 * 0.14 + 9 * 4.18 = 133.3
    ("41", Some(133_300_000)),
    // 20 * 0.15 + 33 * 0.6 = 22.8
    ("43", Some(22_800_000)),
    // llama3.2, on a machine of one's own
    ("52", None),
    // Bedrock's name no model, but the path that was asked; with Sonnet 4.5's geographic profile:
    // 50 * 3.3 + 3,000 * 0.33 + 1,096 * 4.125 + 12 * 16.5 = 5,874
    ("57", Some(5_874_000_000)),
    // 20 * 3.3 + 5 * 16.5 = 148.5
    ("58", Some(148_500_000)),
    // 200 * 0.75 + 1,000 * 0.075 + 240 * 3.75 = 1,125
    ("62", Some(1_125_000_000)),
    // 260 * 0.75 + 1,000 * 0.075 + 240 * 3.75 = 1,170
    ("63", Some(1_170_000_000)),
];

#[tokio::test]
async fn every_answer_with_tokens_has_a_cost_that_was_computed_by_hand_or_no_known_price() {
    let expected: Value = serde_json::from_slice(&transcript("expected.json")).unwrap();
    let mut priced = Vec::new();
    for (name, answer) in expected.as_object().unwrap() {
        let number = &name[..2];
        let has_tokens = answer["input"].is_u64() || answer["output"].is_u64();
        let stated = answer["cost_microusd"].as_number();
        let stated = stated.map(|number| Some(micros(&number.to_string())));
        let by_hand = BY_HAND.iter().find(|(of, _)| *of == number);
        let by_hand = by_hand.map(|(_, picos)| picos.map(Money::from_picos));
        let Some(expected) = stated.or(by_hand) else {
            assert!(
                !has_tokens,
                "{name} has tokens, and neither a cost nor none"
            );
            continue;
        };
        // peak, as the expectations are
        assert_eq!(cost(name, path(name), PEAK).await, expected, "{name}");
        priced.push(number);
    }
    assert_eq!(priced.len(), 7 + BY_HAND.len(), "{priced:?}");
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
