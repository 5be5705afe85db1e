//! The transcripts' answers, priced.

use std::{fs, path::PathBuf};

use cost_layer::Prices;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llm_exchange::{Call, Meter, Money, Payload, Price, Purchase, Usage};
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

/// What the answer in a transcript costs, read by the meter as it passes.
async fn cost(name: &str, path: &str) -> Option<Money> {
    let request = r#"{"model":"m","messages":[],"max_tokens":9,"stream":true}"#;
    let request = Request::post(path).body(Full::from(request)).unwrap();
    let request = Payload::read(request, 1 << 20).await;
    let call = Call::of(&request).unwrap();
    let mut body = transcript(name);
    let mut kind = "application/json";
    if name.ends_with(".http") {
        let blank = body.windows(2).position(|two| two == b"\n\n").unwrap();
        body.drain(..blank + 2);
    } else if name.ends_with(".sse") {
        kind = "text/event-stream";
    }
    let response = Response::builder().header("content-type", kind);
    let (meter, response) = Meter::attach(response.body(Full::from(body)).unwrap(), call);
    response.into_body().collect().await.unwrap();

    let (model, tier) = (meter.model().unwrap(), meter.service_tier());
    let (speed, geo) = (meter.speed(), meter.geo());
    let mut purchase = Purchase::new(&model, meter.usage().unwrap());
    purchase.service_tier = tier.as_deref();
    purchase.speed = speed.as_deref();
    purchase.geo = geo.as_deref();
    Prices::builtin().price(&purchase)
}

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
            cost(name, path).await,
            Some(Money::from_picos(picos)),
            "{name}"
        );
    }
}

/// 20:00 on a Wednesday and 08:00 on the same day, in UTC.
const OFF_PEAK: u64 = 1_795_636_800;
const PEAK: u64 = 1_795_593_600;

#[test]
fn an_answer_at_night_costs_half() {
    let mut usage = Usage::default();
    (usage.uncached, usage.cached, usage.visible, usage.reasoning) = (104, 896, 10, 140);
    for (seconds, cost) in [(PEAK, "770.704"), (OFF_PEAK, "385.352")] {
        let mut purchase = Purchase::new("deepseek-v4-pro", usage);
        let since = std::time::Duration::from_secs(seconds);
        purchase.at = Some(std::time::SystemTime::UNIX_EPOCH + since);
        assert_eq!(Prices::builtin().price(&purchase), Some(micros(cost)));
    }
}

/// All that `expected.json` prices, also of dialects that the meter does not read yet.
#[test]
fn every_cost_in_the_expectations_comes_out() {
    let expected: Value = serde_json::from_slice(&transcript("expected.json")).unwrap();
    let mut priced = 0;
    for (name, answer) in expected.as_object().unwrap() {
        let Some(cost) = answer["cost_microusd"].as_number() else {
            continue;
        };
        let count = |field: &str| answer[field].as_u64().unwrap_or(0);
        let mut usage = Usage::default();
        let long = count("cache_write_1h") + count("cache_write_12h");
        usage.cached = count("cached");
        usage.cache_write = count("cache_write") - long;
        usage.cache_write_long = long;
        usage.uncached = count("input") - count("cached") - count("cache_write");
        usage.reasoning = count("reasoning");
        usage.visible = count("output") - count("reasoning");
        usage.web_searches = count("web_search_requests");
        let stated = answer["cost_usd"].as_f64();
        usage.stated_pico_usd = stated.map(|dollars| (dollars * 1e12).round() as u64);
        let mut purchase = Purchase::new(answer["model"].as_str().unwrap(), usage);
        if name.starts_with("22-") {
            purchase.geo = Some("us");
        }
        // peak, as the expectations are
        purchase.at =
            Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(PEAK));
        let found = Prices::builtin().price(&purchase);
        assert_eq!(found, Some(micros(&cost.to_string())), "{name}");
        priced += 1;
    }
    assert!(priced >= 5, "only {priced} answers have a cost");
}
