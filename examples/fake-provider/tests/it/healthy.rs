//! Healthy answers of both dialects.

use serde_json::{Value, json};

use crate::client::{CHAT, MESSAGES, ask, chat, message, start, streamed};

#[tokio::test]
async fn openai_echoes_the_last_user_message() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "", &chat("gpt-4o")).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.header("x-request-id"), Some("req_fake_1"));
    assert_eq!(read.header("x-ratelimit-remaining-tokens"), Some("1999000"));
    let json = read.json();
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["model"], "gpt-4o");
    let choice = &json["choices"][0];
    assert_eq!(choice["message"]["content"], "echo: one two three");
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(json["usage"]["prompt_tokens"], 3);
    assert_eq!(json["usage"]["completion_tokens"], 4);
}

#[tokio::test]
async fn openai_streams_role_then_words_then_finish_then_done() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "", &streamed(chat("gpt-4o"))).await;
    assert_eq!(
        read.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let events = read.events();
    assert_eq!(events.len(), 1 + 4 + 1 + 1);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events[0]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(read.content(), "echo: one two three");
    assert_eq!(events[5]["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[6], "[DONE]");
    assert!(
        events.iter().all(|event| event.get("usage").is_none()),
        "nobody asked for usage"
    );
}

#[tokio::test]
async fn openai_tells_usage_only_in_a_last_chunk_and_only_when_asked() {
    let fake = start().await;
    let mut body = streamed(chat("gpt-4o"));
    body["stream_options"] = json!({"include_usage": true});
    let events = ask(&fake, CHAT, "", &body).await.events();
    let (usage, chunks) = events[..events.len() - 1].split_last().unwrap();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some())
    );
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], 7);
}

#[tokio::test]
async fn openai_answers_every_choice_and_counts_them_all() {
    let fake = start().await;
    let mut body = chat("gpt-4o");
    body["n"] = 2.into();
    let json = ask(&fake, CHAT, "", &body).await.json();
    assert_eq!(json["choices"].as_array().unwrap().len(), 2);
    assert_eq!(json["usage"]["completion_tokens"], 8);
    let events = ask(&fake, CHAT, "", &streamed(body)).await.events();
    let of = |index| {
        let choices = events.iter().map(|event| &event["choices"][0]);
        let of_index = choices.filter(|choice| choice["index"] == index);
        of_index
            .filter_map(|choice| choice["delta"]["content"].as_str())
            .collect::<String>()
    };
    assert_eq!(
        (of(0), of(1)),
        ("echo: one two three".into(), "echo: one two three".into())
    );
}

#[tokio::test]
async fn the_cap_of_the_request_cuts_the_answer_and_says_so() {
    let fake = start().await;
    for field in ["max_tokens", "max_completion_tokens"] {
        let mut body = chat("gpt-4o");
        body[field] = 2.into();
        let choice = ask(&fake, CHAT, "", &body).await.json()["choices"][0].clone();
        assert_eq!(choice["message"]["content"], "echo: one ");
        assert_eq!(choice["finish_reason"], "length");
    }
    let mut body = message("claude");
    body["max_tokens"] = 2.into();
    let json = ask(&fake, MESSAGES, "", &body).await.json();
    assert_eq!(json["content"][0]["text"], "echo: one ");
    assert_eq!(json["stop_reason"], "max_tokens");
}

#[tokio::test]
async fn anthropic_may_be_asked_for_no_tokens_at_all() {
    let fake = start().await;
    let mut body = message("claude");
    body["max_tokens"] = 0.into();
    assert_eq!(
        ask(&fake, MESSAGES, "", &body).await.json()["content"],
        json!([])
    );
    let events = ask(&fake, MESSAGES, "", &streamed(body)).await.events();
    assert_eq!(
        types(&events),
        ["message_start", "message_delta", "message_stop"]
    );
}

#[tokio::test]
async fn anthropic_echoes_the_last_user_message() {
    let fake = start().await;
    let mut body = message("claude");
    body["system"] = json!([{"type": "text", "text": "be terse"}]);
    let read = ask(&fake, MESSAGES, "", &body).await;
    assert_eq!(read.header("request-id"), Some("req_fake_1"));
    let json = read.json();
    assert_eq!(
        json["content"],
        json!([{"type": "text", "text": "echo: one two three"}])
    );
    assert_eq!(json["stop_reason"], "end_turn");
    assert_eq!(json["usage"]["input_tokens"], 5);
    assert_eq!(json["usage"]["output_tokens"], 4);
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect()
}

#[tokio::test]
async fn anthropic_streams_named_events_from_start_to_stop() {
    let fake = start().await;
    let read = ask(&fake, MESSAGES, "", &streamed(message("claude"))).await;
    let events = read.events();
    let mut expected = vec!["message_start", "content_block_start"];
    expected.extend(["content_block_delta"; 4]);
    expected.extend(["content_block_stop", "message_delta", "message_stop"]);
    assert_eq!(types(&events), expected);
    let names: Vec<_> = read
        .text
        .lines()
        .filter_map(|l| l.strip_prefix("event: "))
        .collect();
    assert_eq!(names, expected, "the name of an event is its type");
    assert_eq!(read.content(), "echo: one two three");
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 3);
    assert_eq!(events[0]["message"]["usage"]["output_tokens"], 1);
    assert_eq!(events[7]["usage"]["output_tokens"], 4);
    assert_eq!(events[7]["delta"]["stop_reason"], "end_turn");
}

#[tokio::test]
async fn reasoning_comes_first_and_is_counted() {
    let fake = start().await;
    let json = ask(&fake, CHAT, "reasoning=2", &chat("o3")).await.json();
    assert_eq!(
        json["choices"][0]["message"]["reasoning_content"],
        "thought-1 thought-2 "
    );
    assert_eq!(json["usage"]["completion_tokens"], 6);
    assert_eq!(
        json["usage"]["completion_tokens_details"]["reasoning_tokens"],
        2
    );
    let events = ask(&fake, CHAT, "reasoning=1", &streamed(chat("o3")))
        .await
        .events();
    assert_eq!(
        events[1]["choices"][0]["delta"]["reasoning_content"],
        "thought-1 "
    );

    let json = ask(&fake, MESSAGES, "reasoning=1", &message("claude"))
        .await
        .json();
    assert_eq!(json["content"][0]["type"], "thinking");
    assert_eq!(json["content"][1]["text"], "echo: one two three");
    let events = ask(&fake, MESSAGES, "reasoning=1", &streamed(message("claude")))
        .await
        .events();
    assert_eq!(events[2]["delta"]["thinking"], "thought-1 ");
    assert_eq!(events[3]["delta"]["type"], "signature_delta");
    assert_eq!(events[5]["index"], 1, "the text is the second block");
}

#[tokio::test]
async fn a_tool_call_has_the_first_tool_and_whole_arguments() {
    let fake = start().await;
    let mut body = chat("gpt-4o");
    body["tools"] = json!([{"type": "function", "function": {"name": "find"}}]);
    let choice = ask(&fake, CHAT, "tool", &body).await.json()["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"]["name"],
        "find"
    );
    let events = ask(&fake, CHAT, "tool", &streamed(body)).await.events();
    let calls = events
        .iter()
        .map(|event| &event["choices"][0]["delta"]["tool_calls"][0]);
    let arguments: String = calls
        .filter_map(|call| call["function"]["arguments"].as_str())
        .collect();
    assert_eq!(arguments, r#"{"q":"echo: one two three"}"#);

    let json = ask(&fake, MESSAGES, "tool", &message("claude"))
        .await
        .json();
    assert_eq!(json["stop_reason"], "tool_use");
    assert_eq!(json["content"][0]["input"]["q"], "echo: one two three");
    let events = ask(&fake, MESSAGES, "tool", &streamed(message("claude")))
        .await
        .events();
    let parts = events
        .iter()
        .filter_map(|event| event["delta"]["partial_json"].as_str());
    assert_eq!(parts.collect::<String>(), r#"{"q":"echo: one two three"}"#);
}

#[tokio::test]
async fn the_number_of_deltas_can_be_set() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "deltas=6", &streamed(chat("gpt-4o"))).await;
    assert_eq!(read.content(), "echo: one two three echo: one ");
    assert_eq!(read.events().len(), 1 + 6 + 1 + 1);
    let json = ask(&fake, CHAT, "deltas=0", &chat("gpt-4o")).await.json();
    assert_eq!(json["choices"][0]["message"]["content"], "");
}

#[tokio::test]
async fn usage_can_be_left_out_everywhere() {
    let fake = start().await;
    let mut body = streamed(chat("gpt-4o"));
    body["stream_options"] = json!({"include_usage": true});
    let texts = [
        ask(&fake, CHAT, "no-usage", &chat("gpt-4o")).await.text,
        ask(&fake, CHAT, "no-usage", &body).await.text,
        ask(&fake, MESSAGES, "no-usage", &message("claude"))
            .await
            .text,
        ask(&fake, MESSAGES, "no-usage", &streamed(message("claude")))
            .await
            .text,
    ];
    assert!(
        texts.iter().all(|text| !text.contains("usage")),
        "{texts:?}"
    );
}

#[tokio::test]
async fn models_are_listed_in_the_shape_of_the_caller() {
    let fake = start().await;
    let json = ask(&fake, "/v1/models", "", &Value::Null).await.json();
    assert_eq!(json["object"], "list");
    assert_eq!(json["data"][0]["id"], "fake-model");
}

#[tokio::test]
async fn any_prefix_of_the_path_will_do() {
    let fake = start().await;
    let read = ask(&fake, "/openai/v1/chat/completions", "", &chat("llama")).await;
    assert_eq!(read.status, 200);
}

#[tokio::test]
async fn equal_requests_to_new_servers_get_equal_answers() {
    let (one, other) = (start().await, start().await);
    let body = streamed(chat("gpt-4o"));
    assert_eq!(
        ask(&one, CHAT, "", &body).await.text,
        ask(&other, CHAT, "", &body).await.text
    );
}

#[tokio::test]
async fn it_speaks_http_2_in_clear_text() {
    let fake = start().await;
    let response = crate::client::send_h2(&fake, "", &streamed(chat("gpt-4o")))
        .await
        .unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    let read = crate::client::read(response).await;
    assert!(read.whole);
    assert_eq!(read.content(), "echo: one two three");
}
