//! `[budget]`: what callers may spend.

use fake_provider::Behaviour;
use gateway::{Config, Gateway};
use serde_json::json;

use crate::common::*;

#[tokio::test]
async fn a_budget_that_is_used_up_is_answered_in_the_callers_dialect_and_the_provider_sees_no_call()
{
    let house = house_with(
        "",
        "[budget]\nper_user_tokens_per_day = 400\n[retry]\n[cost]\nledger = \"memory\"",
    )
    .await;
    house.fake.on("gpt-4o", Behaviour::ok().deltas(150));
    let first = house.ask(CHAT, chat("gpt-4o")).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let remaining = first.header("x-llm-budget-remaining").unwrap();
    assert!(remaining.starts_with("user-day-tokens="), "{remaining}");
    // some 160 tokens are used, and the least answer is 256
    let refused = house.ask(CHAT, chat("gpt-4o")).await;
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert_eq!(refused.json()["error"]["code"], "budget_exceeded");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(
        refused.header("x-llm-budget-exceeded"),
        Some("user-day-tokens")
    );
    assert!(refused.header("retry-after").is_some());
    let messages = json!({"model": "claude-sonnet-5-5", "max_tokens": 999, "messages": [{"role": "user", "content": "hi"}]});
    let refused = house.ask(MESSAGES, messages).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.json()["error"]["details"]["error_code"],
        "budget_exceeded"
    );
    assert_eq!(house.fake.log().len(), 1);
}

#[tokio::test]
async fn each_user_of_auth_has_an_account() {
    let house = house_with(
        "api_key_env = \"OUR_KEY\"",
        "[auth]\nkeys_env = \"GATEWAY_KEYS\"\n[budget]\nper_user_tokens_per_day = 400",
    )
    .await;
    house.fake.on("gpt-4o", Behaviour::ok().deltas(150));
    let ask = async |key: &str| {
        let mut request = house.post(CHAT, chat("gpt-4o"));
        let key = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", key);
        house.send(request).await.status().as_u16()
    };
    assert_eq!(ask("sk-a-4711").await, 200);
    assert_eq!(ask("sk-a-4711").await, 429);
    assert_eq!(ask("sk-b-4711").await, 200);
    // another key of the same user
    assert_eq!(ask("sk-b/new+").await, 429);
    assert_eq!(ask("sk-of-nobody").await, 401);
}

#[tokio::test]
async fn a_request_is_no_larger_than_it_may_be_and_the_provider_is_told() {
    let house = house_with("", "[budget]\nper_request_tokens = 600").await;
    house.fake.on("gpt-4o", Behaviour::ok().deltas(30));
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    assert_eq!(answer.status, 200);
    let told: serde_json::Value = serde_json::from_slice(&house.fake.log()[0].body).unwrap();
    let cap = told["max_completion_tokens"].as_u64().unwrap();
    assert!((256..600).contains(&cap), "{told}");
    let mut long = chat("gpt-4o");
    long["messages"][0]["content"] = "word ".repeat(1_000).into();
    let refused = house.ask(CHAT, long).await;
    assert_eq!(refused.status, 413, "{}", refused.text);
    assert_eq!(refused.json()["error"]["code"], "budget_request_too_large");
}

#[tokio::test]
async fn a_stream_ends_in_order_where_the_budget_does() {
    let house = house_with("", "[sse]\n[budget]\nper_user_tokens_per_day = 1000").await;
    house.fake.on("gpt-4o", Behaviour::ok().deltas(5_000));
    let mut call = chat("gpt-4o");
    call["stream"] = true.into();
    let answer = house.ask(CHAT, call).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("\"finish_reason\":\"length\""));
    assert!(answer.text.ends_with("data: [DONE]\n\n"));
    assert_eq!(answer.text.matches("[DONE]").count(), 1);
}

#[tokio::test]
async fn what_is_known_costs_nothing_and_what_was_spent_outlives_the_process() {
    let path = std::env::temp_dir().join(format!("gateway-budget-{}", std::process::id()));
    let sections = format!(
        "[cache]\nmode = \"all\"\n[budget]\nper_user_tokens_per_day = 5000\nsnapshot_path = {:?}",
        path.display().to_string()
    );
    let left = |answer: &Answer| -> u64 {
        let text = answer.header("x-llm-budget-remaining").unwrap();
        text.rsplit('=').next().unwrap().parse().unwrap()
    };
    let mut before = 0;
    for run in 0..2 {
        let house = house_with("", &sections).await;
        let mut call = chat("gpt-4o");
        call["max_tokens"] = 300.into();
        let first = house.ask(CHAT, &call).await;
        assert_eq!(first.status, 200, "{}", first.text);
        let known = house.ask(CHAT, &call).await;
        assert_eq!(known.header("x-llm-cache"), Some("hit"));
        if run == 1 {
            assert!(left(&first) < before, "what was used before is still used");
        }
        before = left(&first);
        assert!(house.gateway.shutdown(SECOND).await);
    }
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn while_the_store_is_away_calls_are_refused_soon() {
    let mut house = house().await;
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"p\"\nbase_url = \"{}\"\n[budget]\n\
         per_user_tokens_per_day = 5000\nstore = \"redis\"\nstore_url_env = \"REDIS\"",
        house.fake.url()
    );
    let start = async |address: &str| {
        let config = Config::from_toml(&text, |_| Some(address.to_owned()));
        Gateway::start(config.unwrap()).await
    };
    let error = start("no address").await.unwrap_err().to_string();
    assert!(
        error.starts_with("can't set up the store of [budget]"),
        "{error}"
    );
    assert!(
        !error.contains("no address"),
        "it may have a password in it"
    );
    // nobody listens there
    house.gateway = start("redis://127.0.0.1:1").await.unwrap();
    for _ in 0..5 {
        let refused = tokio::time::timeout(SECOND * 5, house.ask(CHAT, chat("gpt-4o")));
        let refused = refused.await.unwrap();
        assert_eq!(refused.status, 503, "{}", refused.text);
        assert_eq!(refused.json()["error"]["code"], "budget_store_away");
    }
    assert_eq!(house.fake.log().len(), 0);
}

#[tokio::test]
async fn money_and_months_are_held_to_as_well_and_a_zone_has_its_own_midnight() {
    for (lines, limit) in [
        ("per_user_usd_per_day = 0.003", "user-day-usd"),
        ("per_user_tokens_per_month = 400", "user-month-tokens"),
    ] {
        let sections = format!("[budget]\n{lines}\ntime_zone = \"Asia/Kathmandu\"\n");
        let house = house_with("", &sections).await;
        house.fake.on("gpt-4o", Behaviour::ok().deltas(150));
        assert_eq!(house.ask(CHAT, chat("gpt-4o")).await.status, 200, "{limit}");
        let refused = house.ask(CHAT, chat("gpt-4o")).await;
        assert_eq!(refused.status, 429, "{limit}: {}", refused.text);
        assert_eq!(refused.header("x-llm-budget-exceeded"), Some(limit));
        // at a quarter to an hour of UTC
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let end = now + wait;
        let off = (end + 60) % 3_600;
        assert!(
            (900..1_020).contains(&off),
            "{limit}: ends {off} s past the hour"
        );
    }
}
