//! `[[route]]`: another model, another provider, before the caller notices.

use fake_provider::{At, Behaviour, Failure, FakeProvider, Hint};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;

use crate::common::*;

/// Two providers, of which the second one takes our key only, and these routes.
pub(crate) struct Two {
    pub(crate) house: House,
    pub(crate) other: FakeProvider,
}

pub(crate) async fn two(routes: &str) -> Two {
    let fake = FakeProvider::start().await.unwrap();
    let other = FakeProvider::builder()
        .require_key(OUR_KEY)
        .start()
        .await
        .unwrap();
    let text = format!(
        r#"
        listen = "127.0.0.1:0"
        [[provider]]
        name = "openai"
        base_url = "{}"
        [[provider]]
        name = "other"
        base_url = "{}/v1"
        api_key_env = "OUR_KEY"
        [[provider]]
        name = "claude"
        base_url = "{}"
        dialect = "anthropic"
        {routes}
        "#,
        fake.url(),
        other.url(),
        fake.url(),
    );
    let house = House {
        fake,
        gateway: start(&text).await,
        caller: Client::builder(TokioExecutor::new()).build_http(),
    };
    Two { house, other }
}

const ROUTE: &str = r#"
    [[route]]
    model = "gpt-4o"
    chain = [
      { provider = "openai", model = "gpt-4o", max_latency = "2s" },
      { provider = "openai", model = "gpt-4o-mini" },
      { provider = "other", model = "llama3", disabled = false },
    ]
"#;

#[tokio::test]
async fn a_call_goes_down_its_chain_and_each_provider_gets_its_own_key() {
    let Two { house, other } = two(ROUTE).await;
    house
        .fake
        .on("gpt-4o", Behaviour::fails(Failure::overloaded()));
    house
        .fake
        .on("gpt-4o-mini", Behaviour::ok().break_at(At::First));
    for call in [chat("gpt-4o"), streamed("gpt-4o")] {
        let answer = house.ask(CHAT, &call).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("x-llm-attempts"), Some("3"));
        assert_eq!(answer.header("x-llm-model"), Some("llama3"));
        assert!(answer.text.contains("three") && answer.text.contains("llama3"));
    }
    let key = |log: Vec<fake_provider::Received>| log[0].headers["authorization"].clone();
    assert_eq!(key(house.fake.log()), "Bearer sk-caller");
    assert_eq!(key(other.log()), format!("Bearer {OUR_KEY}"));
}

#[tokio::test]
async fn a_slow_model_is_left_for_the_next() {
    let Two { house, .. } = two(ROUTE).await;
    house.fake.on("gpt-4o", Behaviour::hangs());
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    assert_eq!(answer.header("x-llm-model"), Some("gpt-4o-mini"));
}

#[tokio::test]
async fn when_all_fail_the_caller_is_told_of_each_by_the_names_in_the_file() {
    let Two { house, other } = two(ROUTE).await;
    house
        .fake
        .on_any(Behaviour::throttled(Hint::RetryAfterMs(7_000)));
    other.on_any(Behaviour::closes());
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let each =
        "openai/gpt-4o: throttled (429); openai/gpt-4o-mini: throttled (429); other/llama3: failed";
    assert!(message.ends_with(each), "{message}");
    assert!(!answer.text.contains("127.0.0.1"));
}

#[tokio::test]
async fn a_route_that_begins_elsewhere_sets_out_there() {
    let routes = r#"
        [[route]]
        model = "llama3"
        chain = [{ provider = "other", model = "llama3" }, { provider = "openai", model = "gpt-4o" }]
    "#;
    let Two { house, other } = two(routes).await;
    assert_eq!(house.ask(CHAT, chat("llama3")).await.status, 200);
    assert_eq!((house.fake.log().len(), other.log().len()), (0, 1));
    other.on("llama3", Behaviour::fails(Failure::quota_exhausted()));
    // the caller's key was meant for the first one, and is not taken to the second
    let answer = house.ask(CHAT, chat("llama3")).await;
    assert_eq!(answer.header("x-llm-model"), Some("gpt-4o"));
    assert!(!house.fake.log()[0].headers.contains_key("authorization"));
    assert_eq!(house.fake.log()[0].path, "/v1/chat/completions");
}

#[tokio::test]
async fn the_default_route_takes_the_models_without_one_in_its_own_dialect() {
    let routes = r#"
        [[route]]
        model = "*"
        chain = [{ provider = "openai" }, { provider = "other", model = "llama3" }]
    "#;
    let Two { house, other } = two(routes).await;
    let fails = Behaviour::fails(Failure::status(500));
    house.fake.on_any(fails.clone());
    let answer = house.ask(CHAT, chat("any-model")).await;
    assert_eq!(answer.header("x-llm-model"), Some("llama3"));
    let message = json!({"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let answer = house.ask(MESSAGES, message).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-llm-model")),
        (500, None)
    );
    let embeddings = json!({"model": "text-embedding-3-small", "input": "hi"});
    let answer = house.ask("/v1/embeddings", embeddings).await;
    assert_eq!(answer.header("x-llm-model"), None);
    assert_eq!(other.log().len(), 1);
}

#[tokio::test]
async fn a_model_that_costs_too_much_for_a_call_is_skipped_by_the_prices_built_in() {
    let routes = r#"
        [[route]]
        model = "gpt-4o"
        chain = [
          { provider = "openai", model = "gpt-4o", max_cost_usd = 0.001 },
          { provider = "openai", model = "gpt-4o-mini" },
        ]
    "#;
    let Two { house, .. } = two(routes).await;
    // $10 for a million tokens: 1,000 of them are a cent
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    assert_eq!(answer.header("x-llm-model"), Some("gpt-4o-mini"));
    let mut short = chat("gpt-4o");
    short["max_tokens"] = 10.into();
    let answer = house.ask(CHAT, short).await;
    assert_eq!(answer.header("x-llm-model"), Some("gpt-4o"));
}

#[tokio::test]
async fn with_retries_each_target_is_asked_again_before_it_is_left() {
    let retry = "[retry]\nmax_retries = 1\ninitial_delay = \"100ms\"";
    let Two { house, .. } = two(&format!("{ROUTE}\n{retry}")).await;
    house
        .fake
        .on("gpt-4o", Behaviour::fails(Failure::overloaded()));
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    assert_eq!(answer.header("x-llm-model"), Some("gpt-4o-mini"));
    assert_eq!(answer.header("x-llm-attempts"), Some("3"));
}

#[tokio::test]
async fn what_another_model_answered_is_not_kept_as_the_answer_of_the_one_asked_for() {
    let Two { house, .. } = two(&format!("{ROUTE}\n[cache]")).await;
    let overloaded = fake_provider::Script::new().fail(1, Failure::overloaded());
    house.fake.on("gpt-4o", overloaded.then_ok());
    let mut call = chat("gpt-4o");
    call["temperature"] = 0.into();
    let first = house.ask(CHAT, &call).await;
    assert_eq!(first.header("x-llm-model"), Some("gpt-4o-mini"));
    for _ in 0..2 {
        let answer = house.ask(CHAT, &call).await;
        assert!(answer.text.contains("\"gpt-4o\""), "{answer:?}");
    }
    // twice for the first call, once for the second, and the third was known
    assert_eq!(house.fake.log().len(), 3);
}

#[tokio::test]
async fn what_another_host_answered_is_not_kept_as_the_answer_of_the_one_asked() {
    let route = r#"
        [cache]
        [[route]]
        model = "gpt-4o"
        chain = [{ provider = "openai", model = "gpt-4o" }, { provider = "other", model = "gpt-4o" }]
    "#;
    for call in [chat("gpt-4o"), streamed("gpt-4o")] {
        let Two { house, other } = two(route).await;
        let overloaded = fake_provider::Script::new().fail(1, Failure::overloaded());
        house.fake.on("gpt-4o", overloaded.then_ok());
        let mut call = call;
        call["temperature"] = 0.into();
        let mut cached = Vec::new();
        for _ in 0..3 {
            let answer = house.ask(CHAT, &call).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            cached.push(answer.header("x-llm-cache").unwrap().to_owned());
        }
        assert_eq!(cached, ["miss", "miss", "hit"]);
        assert_eq!((house.fake.log().len(), other.log().len()), (2, 1));
    }
}
