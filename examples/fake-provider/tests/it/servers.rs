//! The oddities of the servers that speak chat completions.

use serde_json::{Value, json};

use crate::client::{CHAT, ask, chat, start, streamed};

fn with_usage() -> Value {
    let mut body = streamed(chat("m"));
    body["stream_options"] = json!({"include_usage": true});
    body
}

async fn events(like: &str, body: &Value) -> Vec<Value> {
    let fake = start().await;
    ask(&fake, CHAT, &format!("like={like}"), body)
        .await
        .events()
}

fn finish(events: &[Value]) -> &Value {
    let ends = |event: &&Value| event["choices"][0]["finish_reason"].is_string();
    events.iter().find(ends).expect("a finish chunk")
}

#[tokio::test]
async fn usage_rides_on_the_finish_chunk() {
    for like in ["mistral", "deepseek", "xai"] {
        let events = events(like, &with_usage()).await;
        assert_eq!(finish(&events)["usage"]["prompt_tokens"], 3, "{like}");
        let with_usage = events.iter().filter(|event| event["usage"].is_object());
        assert_eq!(with_usage.count(), 1, "{like}");
    }
}

#[tokio::test]
async fn groq_tells_usage_twice() {
    let events = events("groq", &with_usage()).await;
    assert!(events[0]["x_groq"]["id"].is_string());
    let twice = &finish(&events)["x_groq"]["usage"];
    assert_eq!(twice, &events[events.len() - 2]["usage"]);
}

#[tokio::test]
async fn azure_begins_with_a_chunk_about_no_choice() {
    let events = events("azure", &streamed(chat("m"))).await;
    assert_eq!(events[0]["choices"], json!([]));
    assert!(events[0]["prompt_filter_results"].is_array());
}

#[tokio::test]
async fn openrouter_sends_comments_and_a_cost_unasked() {
    let fake = start().await;
    let read = ask(
        &fake,
        CHAT,
        "like=openrouter,ping-every=1",
        &streamed(chat("m")),
    )
    .await;
    assert!(read.text.contains(": OPENROUTER PROCESSING\n\n"));
    let events = read.events();
    assert_eq!(events[events.len() - 2]["usage"]["cost"], 0.001);
}

#[tokio::test]
async fn vllm_tells_usage_all_along_if_asked() {
    let mut body = with_usage();
    body["stream_options"]["continuous_usage_stats"] = true.into();
    let events = events("vllm", &body).await;
    let counts: Vec<_> = events[1..5]
        .iter()
        .map(|event| &event["usage"]["completion_tokens"])
        .collect();
    assert_eq!(counts, [1, 2, 3, 4]);
}

#[tokio::test]
async fn reasoning_is_outside_of_the_completion_or_only_in_the_total() {
    let fake = start().await;
    for (like, reasoning) in [("xai", json!(2)), ("gemini", Value::Null)] {
        let options = format!("like={like},reasoning=2");
        let usage = ask(&fake, CHAT, &options, &chat("m")).await.json()["usage"].clone();
        assert_eq!(
            (&usage["completion_tokens"], &usage["total_tokens"]),
            (&json!(4), &json!(9))
        );
        assert_eq!(
            usage["completion_tokens_details"]["reasoning_tokens"],
            reasoning
        );
    }
}

#[tokio::test]
async fn blank_lines_keep_an_unstreamed_answer_alive() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "like=deepseek,think-ms=10", &chat("m")).await;
    assert!(read.text.starts_with("\n\n\n\n{"));
    assert_eq!(read.json()["usage"]["prompt_cache_miss_tokens"], 3);
}

#[tokio::test]
async fn errors_in_streams_have_the_form_of_their_server() {
    let fake = start().await;
    let sent = |like: &'static str| {
        let fake = &fake;
        async move {
            let options = format!("like={like},err-at=1");
            ask(fake, CHAT, &options, &streamed(chat("m")))
                .await
                .events()
        }
    };
    for like in ["vllm", "tgi", "openrouter"] {
        assert_eq!(sent(like).await.last().unwrap(), "[DONE]", "{like}");
    }
    let vllm = sent("vllm").await;
    assert_eq!(vllm[vllm.len() - 2]["error"]["code"], 500);
    let openrouter = sent("openrouter").await;
    let error = &openrouter[openrouter.len() - 2];
    assert_eq!(error["choices"][0]["finish_reason"], "error");
    assert_eq!(error["error"]["metadata"]["error_type"], "server_error");
    assert!(sent("groq").await.last().unwrap()["x_groq"]["error"].is_string());
    let ollama = sent("ollama").await;
    assert_eq!(ollama.last().unwrap()["choices"][0]["delta"]["content"], "");
    assert_eq!(sent("mistral").await.last().unwrap()["object"], "error");
}

#[tokio::test]
async fn error_answers_have_the_form_of_their_server() {
    let fake = start().await;
    let said = |like: &'static str| {
        let fake = &fake;
        async move {
            ask(fake, CHAT, &format!("like={like},throttle"), &chat("m"))
                .await
                .json()
        }
    };
    assert_eq!(said("azure").await["error"]["code"], "429");
    assert_eq!(said("mistral").await["code"], "rate_limit_exceeded");
    assert_eq!(said("tgi").await["error_type"], "overloaded");
    assert_eq!(said("openrouter").await["error"]["code"], 429);
    assert_eq!(said("ollama").await["error"]["code"], Value::Null);
}
