//! `[cache]`: what is known is answered, and prompts are marked.

use gateway::{Config, Gateway};
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use testkit::TestServer;

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

/// A call of which the same answer is expected again.
fn again(model: &str) -> Value {
    let mut call = chat(model);
    call["temperature"] = 0.into();
    call
}

/// What the cache did with a call.
async fn cache(house: &House, call: &Value) -> String {
    let answer = house.ask(CHAT, call).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("x-llm-cache").unwrap().to_owned()
}

/// Removes from the cache, as an operator.
async fn delete(house: &House, query: &str) -> Answer {
    let url = format!("{}/cache{query}", house.gateway.admin_url());
    let request = Request::delete(url).body(Full::default()).unwrap();
    Answer::of(house.send(request).await).await
}

#[tokio::test]
async fn of_a_batch_of_texts_the_provider_is_asked_for_those_that_are_not_known() {
    let house = house_with("", "[cache]\n[cost]\nledger = \"memory\"").await;
    let call = |texts: &[&str]| json!({"model": "text-embedding-3-small", "input": texts});
    let ask = async |texts: &[&str]| house.ask("/v1/embeddings", call(texts)).await;
    let first = ask(&["lemon", "lime"]).await;
    assert_eq!(first.header("x-llm-cache"), Some("miss"));
    let second = ask(&["peel", "lime", "lemon", "peel"]).await;
    assert_eq!(
        (second.status.as_u16(), second.header("x-llm-cache")),
        (200, Some("miss"))
    );
    let asked: Vec<Value> = house
        .fake
        .log()
        .iter()
        .map(|one| serde_json::from_slice::<Value>(&one.body).unwrap()["input"].clone())
        .collect();
    assert_eq!(asked, [json!(["lemon", "lime"]), json!(["peel"])]);
    let (first, second) = (first.json(), second.json());
    let data = |answer: &Value| answer["data"].as_array().unwrap().clone();
    assert_eq!(data(&second).len(), 4);
    for (number, embedding) in data(&second).iter().enumerate() {
        assert_eq!(embedding["index"], number);
    }
    assert_eq!(
        second["data"][1]["embedding"],
        first["data"][1]["embedding"]
    );
    assert_eq!(
        second["data"][2]["embedding"],
        first["data"][0]["embedding"]
    );
    assert_eq!(
        second["data"][0]["embedding"],
        second["data"][3]["embedding"]
    );
    // paid just now
    assert!(second["usage"]["prompt_tokens"].as_u64() < first["usage"]["prompt_tokens"].as_u64());
    let all = ask(&["lime", "peel"]).await;
    assert_eq!(all.header("x-llm-cache"), Some("hit"));
    assert_eq!(house.fake.log().len(), 2);
}

#[tokio::test]
async fn operators_remove_answers_by_key_by_model_by_user_and_all() {
    let keys = "[auth]\nkeys_env = \"GATEWAY_KEYS\"\n[cache]";
    let house = house_with("api_key_env = \"OUR_KEY\"", keys).await;
    let by = async |key: &str, model: &str| {
        let mut request = house.post(CHAT, again(model));
        let key = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, key);
        Answer::of(house.send(request).await).await
    };
    let calls = [
        ("sk-a-4711", "gpt-4o"),
        ("sk-a-4711", "gpt-4o-mini"),
        ("sk-b-4711", "gpt-4o"),
    ];
    // which of them were known, all of them being so afterwards
    let known = async || {
        let mut known = Vec::new();
        for (key, model) in calls {
            known.push(by(key, model).await.header("x-llm-cache") == Some("hit"));
        }
        known
    };
    let removed = async |query: &str| {
        let answer = delete(&house, query).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["answers"]["entries"].as_u64().unwrap()
    };
    assert_eq!(known().await, [false, false, false]);
    assert_eq!(known().await, [true, true, true]);

    let hit = by("sk-a-4711", "gpt-4o-mini").await;
    let key = hit.header("x-llm-cache-key").unwrap().to_owned();
    assert_eq!(removed(&format!("?key={key}")).await, 2);
    assert_eq!(known().await, [true, false, true]);
    assert_eq!(removed("?model=gpt-4o").await, 1);
    assert_eq!(known().await, [false, true, false]);
    assert_eq!(removed("?user=alice").await, 1);
    assert_eq!(known().await, [false, false, true]);
    assert_eq!(removed("?user=nobody").await, 3);
    assert_eq!(removed("").await, 0);
    assert_eq!(known().await, [false, false, false]);

    // what is misspelt removes nothing
    for query in [
        "?modle=gpt-4o",
        "?model=",
        "?key=4711",
        "?model=a&user=b",
        "?all",
    ] {
        let answer = delete(&house, query).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
    }
    assert_eq!(known().await, [true, true, true]);
    // nor does it where there is none
    assert_eq!(
        delete(&house_with("", "[retry]").await, "").await.status,
        404
    );
}

#[tokio::test]
async fn callers_remove_nothing() {
    let sections = "[cache]\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"OUR_KEY\"";
    let house = house_with("", sections).await;
    cache(&house, &again("gpt-4o")).await;
    // there is no such page where callers are, and where it is it wants the token
    assert_eq!(house.method(Method::DELETE, "/cache").await.status, 404);
    assert_eq!(delete(&house, "").await.status, 401);
    assert_eq!(cache(&house, &again("gpt-4o")).await, "hit");
}

/// Gateways before one provider, with this store on one server.
async fn gateways(house: &House, server: &TestServer, store: &str) -> [Gateway; 2] {
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"p\"\nbase_url = \"{}\"\n[cache]\nstore = \"{store}\"\n\
         store_url_env = \"URL\"\nstore_secret_env = \"SECRET\"\n",
        house.fake.url()
    );
    let start = || {
        let config = Config::from_toml(&text, |name| match name {
            "URL" => Some(server.url().to_owned()),
            _ => Some("sixteen bytes or more".to_owned()),
        });
        Gateway::start(config.unwrap())
    };
    [start().await.unwrap(), start().await.unwrap()]
}

/// Until a call is a hit: it is on the server a moment later.
async fn until_hit(house: &House, call: &Value) {
    let calls = async {
        while cache(house, call).await != "hit" {
            tokio::time::sleep(SECOND / 100).await;
        }
    };
    tokio::time::timeout(SECOND * 20, calls)
        .await
        .expect("it is known at last");
}

#[tokio::test]
async fn gateways_on_one_server_know_each_others_answers_and_what_is_removed_is_so_for_all() {
    let (mut house, Some(server)) = (house().await, TestServer::redis()) else {
        return;
    };
    let [first, second] = gateways(&house, &server, "redis").await;
    house.gateway = first;
    until_hit(&house, &again("gpt-4o")).await;
    let calls = house.fake.log().len();
    let first = std::mem::replace(&mut house.gateway, second);
    until_hit(&house, &again("gpt-4o")).await;
    assert!(
        house.fake.log().len() <= calls + 1,
        "at most one slow lookup"
    );
    assert_eq!(delete(&house, "?model=gpt-4o").await.status, 200);
    let second = std::mem::replace(&mut house.gateway, first);
    assert_eq!(cache(&house, &again("gpt-4o")).await, "miss");

    // an outage is a miss, and a removal says that it was none
    drop(server);
    house.gateway = second;
    for _ in 0..3 {
        assert_eq!(cache(&house, &again("gpt-4o")).await, "miss");
    }
    let removed = delete(&house, "").await;
    assert_eq!(removed.status, 503, "{}", removed.text);
}

#[tokio::test]
async fn what_one_gateway_knows_another_has_in_memory_after_the_first_time() {
    let (mut house, Some(server)) = (house().await, TestServer::redis()) else {
        return;
    };
    let [first, second] = gateways(&house, &server, "tiered").await;
    house.gateway = first;
    // its own memory knows it at once
    assert_eq!(cache(&house, &again("gpt-4o")).await, "miss");
    assert_eq!(cache(&house, &again("gpt-4o")).await, "hit");
    house.gateway = second;
    assert_eq!(house.look("/cache").await["answers"]["entries"], 0);
    until_hit(&house, &again("gpt-4o")).await;
    assert_eq!(house.look("/cache").await["answers"]["entries"], 1);
    drop(server);
    assert_eq!(cache(&house, &again("gpt-4o")).await, "hit");
}
