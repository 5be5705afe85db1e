//! `[cache]`: what is known is answered, and prompts are marked.

use serde_json::json;

use crate::common::*;

#[tokio::test]
async fn an_equal_call_is_answered_without_the_provider() {
    let house = house_with("", "[cache]\nttl = \"1h\"\nmax_bytes = \"1MiB\"\n[retry]").await;
    let mut call = chat("gpt-4o");
    assert_eq!(
        house.ask(CHAT, &call).await.header("x-llm-cache"),
        Some("bypass")
    );
    call["temperature"] = 0.into();
    let first = house.ask(CHAT, &call).await;
    let second = house.ask(CHAT, &call).await;
    assert_eq!(first.header("x-llm-cache"), Some("miss"));
    assert_eq!(
        (second.header("x-llm-cache"), second.header("age")),
        (Some("hit"), Some("0"))
    );
    assert_eq!(first.text, second.text);
    call["stream"] = true.into();
    let streamed = house.ask(CHAT, &call).await;
    assert_eq!(streamed.header("x-llm-cache"), Some("hit"));
    assert!(
        streamed.text.ends_with("data: [DONE]\n\n"),
        "{}",
        streamed.text
    );
}

#[tokio::test]
async fn callers_with_their_own_keys_share_nothing_unless_that_is_chosen() {
    for (lines, cache) in [("", "miss"), ("shared = true", "hit")] {
        let house = house_with("", &format!("[cache]\nmode = \"all\"\n{lines}")).await;
        let call = chat("gpt-4o");
        house.ask(CHAT, &call).await;
        let mut other = house.post(CHAT, &call);
        let key = "Bearer sk-other".parse().unwrap();
        other.headers_mut().insert("authorization", key);
        let got = Answer::of(house.send(other).await).await;
        assert_eq!(got.header("x-llm-cache"), Some(cache));
    }
}

#[tokio::test]
async fn prompts_that_come_again_are_marked_for_the_provider() {
    let house = house_with("dialect = \"anthropic\"", "[cache]\nprompt_cache = true").await;
    let call = |question: &str| {
        json!({
            "model": "claude-sonnet-5-5",
            "max_tokens": 9,
            "system": "Lemons are yellow. ".repeat(200),
            "messages": [{"role": "user", "content": question}],
        })
    };
    for question in ["one", "two", "three"] {
        let answer = house.ask(MESSAGES, call(question)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let marked: Vec<_> = house
        .fake
        .log()
        .iter()
        .map(|one| String::from_utf8_lossy(&one.body).contains("cache_control"))
        .collect();
    // a write costs more than plain input: what was not seen before is not marked
    assert!(!marked[0] && marked[2], "{marked:?}");
}
