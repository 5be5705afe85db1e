//! Chains over providers of different dialects.

use fake_provider::{At, Behaviour, Failure, FakeProvider};
use http::Method;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};

use crate::common::*;

/// A server of each dialect, each with our key, and these sections.
pub(crate) struct Three {
    pub(crate) house: House,
    pub(crate) claude: FakeProvider,
    pub(crate) gemini: FakeProvider,
}

pub(crate) async fn three(sections: &str) -> Three {
    let start = || FakeProvider::builder().require_key(OUR_KEY).start();
    let fake = start().await.unwrap();
    let (claude, gemini) = (start().await.unwrap(), start().await.unwrap());
    let provider = |name: &str, url: &str, dialect: &str| {
        format!(
            "[[provider]]\nname = \"{name}\"\nbase_url = \"{url}\"\ndialect = \"{dialect}\"\napi_key_env = \"OUR_KEY\"\n"
        )
    };
    let text = [
        "listen = \"127.0.0.1:0\"\n",
        &provider("openai", &fake.url(), "openai"),
        &provider("anthropic", &claude.url(), "anthropic"),
        &provider("google", &gemini.url(), "gemini"),
        sections,
    ]
    .concat();
    let house = House {
        fake,
        gateway: crate::common::start(&text).await,
        caller: Client::builder(TokioExecutor::new()).build_http(),
    };
    Three {
        house,
        claude,
        gemini,
    }
}

const ROUTE: &str = r#"
    [[route]]
    model = "gpt-4o"
    chain = [
      { provider = "openai", model = "gpt-4o" },
      { provider = "anthropic", model = "claude-sonnet-4-5" },
      { provider = "google", model = "gemini-3.8-flash" },
    ]
"#;

const GENERATE: &str = "/v1beta/models/gpt-4o:generateContent";
const STREAM: &str = "/v1beta/models/gpt-4o:streamGenerateContent?alt=sse";

fn message() -> Value {
    let mut message = chat("gpt-4o");
    message["max_tokens"] = 99.into();
    message
}

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]})
}

#[tokio::test]
async fn a_chat_goes_down_a_chain_of_three_dialects() {
    let Three {
        house,
        claude,
        gemini,
    } = three(ROUTE).await;
    house.fake.on_any(Behaviour::fails(Failure::overloaded()));
    for call in [chat("gpt-4o"), streamed("gpt-4o")] {
        let answer = house.ask(CHAT, &call).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("x-llm-model"), Some("claude-sonnet-4-5"));
        assert!(answer.text.contains("chat.completion") && answer.text.contains("three"));
    }
    let asked = &claude.log()[0];
    assert_eq!(asked.path, "/v1/messages");
    assert_eq!(asked.headers["x-api-key"], OUR_KEY);

    claude.on_any(Behaviour::ok().break_at(At::First));
    let answer = house.ask(CHAT, streamed("gpt-4o")).await;
    assert_eq!(answer.header("x-llm-model"), Some("gemini-3.8-flash"));
    assert!(answer.text.ends_with("data: [DONE]\n\n"), "{answer:?}");
    assert_eq!(gemini.log()[0].headers["x-goog-api-key"], OUR_KEY);
}

#[tokio::test]
async fn callers_of_anthropic_and_gemini_go_down_it_too() {
    let Three {
        house,
        claude,
        gemini: _gemini,
    } = three(ROUTE).await;
    // in the order of the chain, whatever the caller speaks
    let answer = house.ask(MESSAGES, message()).await;
    assert_eq!(answer.header("x-llm-model"), Some("gpt-4o"), "{answer:?}");
    assert_eq!(answer.json()["type"], "message");
    let answer = house.ask(GENERATE, contents()).await;
    let text = &answer.json()["candidates"][0]["content"]["parts"][0]["text"];
    assert!(text.as_str().unwrap().contains("three"), "{answer:?}");
    assert_eq!(house.fake.log().len(), 2);
    assert_eq!(house.fake.log()[1].path, "/v1/chat/completions");

    house.fake.on_any(Behaviour::fails(Failure::status(500)));
    let answer = house.ask(MESSAGES, message()).await;
    assert_eq!(answer.header("x-llm-model"), Some("claude-sonnet-4-5"));
    let answer = house.ask(STREAM, contents()).await;
    assert_eq!(answer.header("x-llm-model"), Some("claude-sonnet-4-5"));
    assert!(
        answer.text.contains("\"finishReason\":\"STOP\""),
        "{answer:?}"
    );
    assert!(claude.log().iter().all(|call| call.path == "/v1/messages"));
}

#[tokio::test]
async fn who_cannot_be_asked_so_is_skipped_and_the_answer_says_for_what() {
    let Three {
        house,
        claude,
        gemini,
    } = three(ROUTE).await;
    house.fake.on_any(Behaviour::fails(Failure::overloaded()));
    gemini.on_any(Behaviour::fails(Failure::overloaded()));
    let mut call = chat("gpt-4o");
    call["seed"] = 7.into();
    let answer = house.ask(CHAT, &call).await;
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let skipped = "anthropic/claude-sonnet-4-5: skipped, `seed` cannot be carried over";
    assert!(message.contains(skipped), "{message}");
    assert!(claude.log().is_empty());
}

#[tokio::test]
async fn a_route_to_another_dialect_alone_is_a_translation() {
    let route = r#"
        [[route]]
        model = "gpt-4o"
        chain = [{ provider = "anthropic", model = "claude-sonnet-4-5" }]
    "#;
    let Three { house, claude, .. } = three(route).await;
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    assert_eq!(answer.json()["object"], "chat.completion", "{answer:?}");
    assert_eq!((claude.log().len(), house.fake.log().len()), (1, 0));
    let refused = house
        .ask(CHAT, json!({"model": "gpt-4o", "messages": [], "frob": 1}))
        .await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("`frob` is not known"), "{refused:?}");
}

#[tokio::test]
async fn a_translated_answer_is_charged_as_what_it_is() {
    let sections = format!("{ROUTE}\n[cost]\nledger = \"memory\"");
    let three = three(&sections).await;
    let house = &three.house;
    house.fake.on_any(Behaviour::fails(Failure::overloaded()));
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    assert!(answer.header("x-llm-cost-usd").is_some(), "{answer:?}");
    house.ask(CHAT, streamed("gpt-4o")).await;
    let daily = house.method(Method::GET, "/report/daily").await.json();
    let claude = daily
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["model"] == "claude-sonnet-4-5");
    let claude = claude.unwrap_or_else(|| panic!("{daily}"));
    assert_eq!(claude["requests"], 2, "{daily}");
    assert!(claude["cost_usd"].as_f64().unwrap() > 0.0);
}
