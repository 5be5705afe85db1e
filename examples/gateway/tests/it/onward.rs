//! `failover` and `hedge_after` of a route: streams that go on, and targets that are asked side by side.

use fake_provider::{At, Behaviour, Failure, Script};
use serde_json::{Value, json};

use crate::{
    admin::newest,
    common::*,
    routes::{Two, two},
    translated::{Three, three},
};

const ONWARD: &str = r#"
    [cost]
    ledger = "memory"
    [sse]
    [[route]]
    model = "gpt-4o"
    failover = true
    chain = [
      { provider = "openai", model = "gpt-4o", prefill = "last-message" },
      { provider = "other", model = "llama3", prefill = "last-message" },
    ]
    [[route]]
    model = "slow"
    hedge_after = "50ms"
    chain = [{ provider = "openai", model = "slow" }, { provider = "other", model = "llama3" }]
"#;

#[tokio::test]
async fn a_stream_that_breaks_after_its_content_goes_on_where_the_route_says_so() {
    let Two { house, other } = two(ONWARD).await;
    house.fake.on(
        "gpt-4o",
        Behaviour::ok().error_like(3, Failure::overloaded()),
    );
    let answer = house.ask(CHAT, &streamed("gpt-4o")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.text.contains("continued by other/llama3"),
        "{answer:?}"
    );
    assert!(!answer.text.contains("\"error\""), "{answer:?}");
    assert!(
        answer.text.trim_end().ends_with("data: [DONE]"),
        "{answer:?}"
    );
    assert_eq!(answer.text.matches("\"role\"").count(), 1, "{answer:?}");
    let sent: Value = serde_json::from_slice(&other.log()[0].body).unwrap();
    assert_eq!(sent["messages"][1]["role"], "assistant");
    assert!(sent["max_tokens"].as_u64().unwrap() < 99, "{sent}");
}

#[tokio::test]
async fn a_stream_that_a_clock_further_in_ends_goes_on_too() {
    let Two {
        house,
        other: _other,
    } = two(&ONWARD.replace("[sse]", "[sse]\nidle_timeout = \"200ms\"")).await;
    house.fake.on(
        "gpt-4o",
        Script::new()
            .times(1, Behaviour::ok().stall_at(3))
            .then_ok(),
    );
    let answer = house.ask(CHAT, &streamed("gpt-4o")).await;
    assert!(
        answer.text.contains("continued by openai/gpt-4o"),
        "{answer:?}"
    );
    assert!(
        answer.text.trim_end().ends_with("data: [DONE]"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_route_asks_its_second_target_as_well_when_the_first_is_silent() {
    let Two { house, other } = two(ONWARD).await;
    house.fake.on("slow", Behaviour::ok().stall_at(At::First));
    let answer = house.ask(CHAT, &streamed("slow")).await;
    assert_eq!(answer.header("x-llm-model"), Some("llama3"), "{answer:?}");
    assert_eq!((house.fake.log().len(), other.log().len()), (1, 1));
}

const ACROSS: &str = r#"
    [cost]
    ledger = "memory"
    [sse]
    [[route]]
    model = "gpt-4o"
    failover = true
    chain = [
      { provider = "openai", model = "gpt-4o" },
      { provider = "anthropic", model = "claude-sonnet-4-5" },
    ]
    [[route]]
    model = "claude-sonnet-5"
    failover = true
    chain = [
      { provider = "anthropic", model = "claude-sonnet-5" },
      { provider = "google", model = "gemini-3.8-flash" },
      { provider = "openai", model = "llama3", prefill = "continue-final-message" },
    ]
"#;

fn body(log: &[fake_provider::Received]) -> Value {
    serde_json::from_slice(&log[0].body).unwrap()
}

#[tokio::test]
async fn a_chat_that_breaks_goes_on_at_claude_and_both_are_on_the_bill() {
    let Three { house, claude, .. } = three(ACROSS).await;
    house.fake.on("gpt-4o", Behaviour::ok().break_at(3));
    let answer = house.ask(CHAT, &streamed("gpt-4o")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .text
            .contains(": continued by anthropic/claude-sonnet-4-5\n"),
        "{answer:?}"
    );
    assert!(
        !answer.text.contains("event:") && !answer.text.contains("\"error\""),
        "{answer:?}"
    );
    assert_eq!(answer.text.matches("\"role\"").count(), 1, "{answer:?}");
    assert!(
        answer.text.trim_end().ends_with("data: [DONE]"),
        "{answer:?}"
    );
    let sent = body(&claude.log());
    assert_eq!(sent["messages"][1]["role"], "assistant");
    assert!(sent["max_tokens"].as_u64().unwrap() < 99, "{sent}");
    let call = newest(&house, 1).await;
    assert_eq!(call["steps"][0]["tried"], "gpt-4o");
    assert_eq!(call["steps"][0]["verdict"], "failed");
    assert!(
        call["steps"]
            .to_string()
            .contains(r#"{"went_on":"anthropic/claude-sonnet-4-5"}"#),
        "{call}"
    );
    // what broke off has no usage, and what went on has its provider's
    assert!(call["output_tokens"].as_u64().unwrap() > 0);
    let spend = house
        .method(http::Method::GET, "/report/daily")
        .await
        .json();
    let models: Vec<_> = spend
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["model"])
        .collect();
    assert!(
        models.contains(&&json!("gpt-4o")) && models.contains(&&json!("claude-sonnet-4-5")),
        "{spend}"
    );
}

#[tokio::test]
async fn a_message_that_breaks_goes_on_at_a_server_of_the_chat_api_and_passes_over_who_does_not() {
    let Three {
        house,
        claude,
        gemini,
    } = three(ACROSS).await;
    claude.on_any(Behaviour::ok().error_at(3));
    let mut message = streamed("claude-sonnet-5");
    message["system"] = "Be brief".into();
    let answer = house.ask(MESSAGES, &message).await;
    assert!(
        answer.text.contains(": continued by openai/llama3\n"),
        "{answer:?}"
    );
    let names = answer
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "));
    let mut names: Vec<_> = names.filter(|name| *name != "ping").collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert!(gemini.log().is_empty(), "it is not known to go on");
    let sent = body(&house.fake.log());
    let roles: Vec<_> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["role"])
        .collect();
    assert_eq!(roles, ["system", "user", "assistant"]);
    assert_eq!(sent["continue_final_message"], true);
}

#[tokio::test]
async fn what_a_hedge_costs_is_reserved_and_on_the_bill_and_both_are_settled() {
    let sections = r#"
        [cost]
        ledger = "memory"
        [budget]
        per_user_tokens_per_day = 5000
        [breaker]
        failure_threshold = 1
        [[route]]
        model = "gpt-4o"
        hedge_after = "1500ms"
        hedge_share = 1.0
        chain = [{ provider = "openai", model = "gpt-4o" }, { provider = "other", model = "gpt-4o-mini" }]
    "#;
    let Two { house, other } = two(sections).await;
    // the first one's head and role come, and nothing more
    house.fake.on("gpt-4o", Behaviour::ok().stall_at(At::First));
    // so late that what is reserved is looked at in time on a busy machine too
    let slow = Behaviour::ok().think(std::time::Duration::from_millis(1500));
    other.on("gpt-4o-mini", slow);
    let budget = async || house.look("/budgets").await["accounts"][0].clone();
    let call = streamed("gpt-4o");
    let alone = {
        let answer = tokio::spawn(house.caller.request(house.post(CHAT, &call)));
        house.fake.until(|log| !log.is_empty()).await;
        let alone = budget().await["reserved"].as_u64().unwrap();
        other.until(|log| !log.is_empty()).await;
        let both = budget().await["reserved"].as_u64().unwrap();
        assert!(alone >= 99 && both >= alone + 99, "{alone}, then {both}");
        let answer = Answer::of(answer.await.unwrap().unwrap()).await;
        assert_eq!(
            answer.header("x-llm-model"),
            Some("gpt-4o-mini"),
            "{answer:?}"
        );
        alone
    };
    let line = newest(&house, 1).await;
    let lost = |step: &&Value| step["tried"] == "gpt-4o" && step["verdict"] == "outrun";
    assert_eq!(
        line["steps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(lost)
            .count(),
        1,
        "{line}"
    );
    let spent = budget().await;
    assert_eq!(spent["reserved"], 0, "{spent}");
    let own = line["input_tokens"].as_u64().unwrap() + line["output_tokens"].as_u64().unwrap();
    let used = spent["used"].as_u64().unwrap();
    assert!(
        own < used && used < alone + 99,
        "the loser's prompt too: {own}, {used}"
    );
    let daily = house
        .method(http::Method::GET, "/report/daily")
        .await
        .json();
    let of = |model: &str| {
        daily
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["model"] == model)
            .cloned()
    };
    assert!(
        of("gpt-4o").unwrap()["cost_usd"].as_f64().unwrap() > 0.0,
        "{daily}"
    );
    // to be slower is no failure: its circuit is closed
    let circuits = house.look("/breakers").await;
    assert!(
        circuits
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] == "closed"),
        "{circuits}"
    );
}
