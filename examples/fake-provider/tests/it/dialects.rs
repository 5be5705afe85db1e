//! Healthy answers and errors of the formats beside chat and messages.

use fake_provider::{FakeProvider, Outcome};
use serde_json::{Value, json};

use crate::client::{ask, start, until_last};

const GEMINI: &str = "/v1beta/models/gemini-flash";

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]})
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

#[tokio::test]
async fn responses_end_with_the_whole_response() {
    let fake = start().await;
    let body = json!({"model": "gpt", "input": "one two three", "instructions": "be terse"});
    let json = ask(&fake, "/v1/responses", "reasoning=2", &body)
        .await
        .json();
    assert_eq!(json["status"], "completed");
    assert_eq!(
        json["output"][1]["content"][0]["text"],
        "echo: one two three"
    );
    assert_eq!(json["usage"]["input_tokens"], 5);
    assert_eq!(json["usage"]["output_tokens"], 6);

    let mut streamed = body;
    streamed["stream"] = true.into();
    let read = ask(&fake, "/v1/responses", "", &streamed).await;
    let events = read.events();
    assert_eq!(events[0]["type"], "response.created");
    let names: Vec<_> = read
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    let types: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(names, types);
    let text: String = events
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(text, "echo: one two three");
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"]["usage"]["total_tokens"], 9);
    assert!(!read.text.contains("[DONE]"));

    streamed["max_output_tokens"] = 2.into();
    let events = ask(&fake, "/v1/responses", "", &streamed).await.events();
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(
        last["response"]["incomplete_details"]["reason"],
        "max_output_tokens"
    );
}

/// The events of a streamed response, numbered from 0 in the order they come.
async fn responses(fake: &FakeProvider, script: &str) -> Vec<Value> {
    let body = json!({"model": "gpt", "input": "one", "stream": true});
    let events = ask(fake, "/v1/responses", script, &body).await.events();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
    }
    events
}

fn types(events: &[Value]) -> Vec<&str> {
    let types = events
        .iter()
        .map(|event| event["type"].as_str().expect("a type"));
    types
        .map(|name| name.strip_prefix("response.").unwrap_or(name))
        .collect()
}

#[tokio::test]
async fn the_items_of_a_response_are_opened_filled_and_closed_one_after_another() {
    let fake = start().await;
    let events = responses(&fake, "reasoning=1,deltas=2").await;
    assert_eq!(
        types(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
    );
    assert_eq!(
        (&events[4]["summary_index"], &events[4]["output_index"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        (&events[10]["content_index"], &events[10]["output_index"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(events[9]["part"]["text"], "");
    assert_eq!(events[8]["item"]["content"], json!([]));
    let response = &events[15]["response"];
    // strict clients ask for these of any response
    for member in ["parallel_tool_calls", "tool_choice", "tools"] {
        assert!(!response[member].is_null(), "{member}");
    }
    let whole = &response["output"];
    assert_eq!(
        (&whole[0], &whole[1]),
        (&events[7]["item"], &events[14]["item"])
    );
    assert_eq!(events[13]["part"], whole[1]["content"][0]);
    assert_eq!(events[12]["text"], whole[1]["content"][0]["text"]);

    let events = responses(&fake, "tool,deltas=1").await;
    assert_eq!(
        types(&events)[2..],
        [
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    assert_eq!(events[2]["item"]["arguments"], "");
    assert_eq!(events[4]["arguments"], events[5]["item"]["arguments"]);
}

#[tokio::test]
async fn an_error_in_a_stream_of_responses_is_flat_and_has_the_next_number() {
    let fake = start().await;
    for (at, before) in [("0", 0), ("open", 4), ("1", 5), ("2", 6)] {
        let events = responses(&fake, &format!("err-at={at},err-status=429")).await;
        assert_eq!(events.len(), before + 1);
        let last = &events[before];
        assert_eq!(
            (&last["type"], &last["code"]),
            (&json!("error"), &json!("rate_limit_exceeded"))
        );
    }
}

#[tokio::test]
async fn completions_have_texts_and_embeddings_have_numbers() {
    let fake = start().await;
    let mut body = json!({"model": "instruct", "prompt": "one two three"});
    let json = ask(&fake, "/v1/completions", "", &body).await.json();
    assert_eq!(json["choices"][0]["text"], "echo: one two three");
    assert_eq!(json["usage"]["completion_tokens"], 4);
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let events = ask(&fake, "/v1/completions", "", &body).await.events();
    assert_eq!(events[0]["object"], "text_completion");
    let usage = &events[events.len() - 2];
    assert_eq!(
        (&usage["choices"], &usage["usage"]["total_tokens"]),
        (&json!([]), &json!(7))
    );
    assert_eq!(events.last().unwrap(), "[DONE]");

    let body = json!({"model": "embed", "input": ["one two", "three"]});
    let json = ask(&fake, "/v1/embeddings", "", &body).await.json();
    assert_eq!(json["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        json["usage"],
        json!({"prompt_tokens": 3, "total_tokens": 3})
    );
}

#[tokio::test]
async fn the_model_of_an_azure_deployment_is_in_its_path() {
    let fake = start().await;
    let path = "/openai/deployments/my%20gpt/chat/completions?api-version=1";
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    let json = ask(&fake, path, "", &body).await.json();
    assert_eq!(json["model"], "my gpt");
    assert_eq!(
        until_last(&fake, Outcome::Whole).await.model.as_deref(),
        Some("my gpt")
    );
}

#[tokio::test]
async fn gemini_answers_at_once_or_in_events_with_crlf() {
    let fake = start().await;
    let json = ask(
        &fake,
        &format!("{GEMINI}:generateContent"),
        "reasoning=2",
        &contents(),
    )
    .await
    .json();
    let candidate = &json["candidates"][0];
    assert_eq!(
        candidate["content"]["parts"][1]["text"],
        "echo: one two three"
    );
    assert_eq!(candidate["finishReason"], "STOP");
    assert_eq!(
        json["usageMetadata"],
        json!({"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 2, "totalTokenCount": 9})
    );
    let path = format!("{GEMINI}:streamGenerateContent?alt=sse");
    let read = ask(&fake, &path, "", &contents()).await;
    assert!(read.text.ends_with("\r\n\r\n") && !read.text.contains("[DONE]"));
    let events = read.events();
    assert_eq!(events.len(), 5);
    assert_eq!(events[1]["usageMetadata"]["candidatesTokenCount"], 2);
    assert_eq!(events[4]["candidates"][0]["finishReason"], "STOP");
    let vertex = "/v1/projects/p/locations/l/publishers/google/models/gemini:generateContent";
    let json = ask(&fake, vertex, "", &contents()).await.json();
    assert_eq!(json["modelVersion"], "gemini");
}

#[tokio::test]
async fn gemini_without_alt_sse_writes_an_array() {
    let fake = start().await;
    let path = format!("{GEMINI}:streamGenerateContent");
    let read = ask(&fake, &path, "", &contents()).await;
    assert_eq!(
        read.header("content-type"),
        Some("application/json; charset=UTF-8")
    );
    assert_eq!(read.json().as_array().unwrap().len(), 5);
    for (at, elements) in [("0", 1), ("open", 1), ("2", 3)] {
        let read = ask(&fake, &path, &format!("err-at={at}"), &contents()).await;
        let json = read.json();
        assert_eq!(json.as_array().unwrap().len(), elements, "{at}");
        assert_eq!(json[elements - 1]["error"]["status"], "UNAVAILABLE");
    }
    let cut = ask(&fake, &path, "end-at=2", &contents()).await;
    assert!(cut.whole && serde_json::from_str::<Value>(&cut.text).is_err());
}

#[tokio::test]
async fn gemini_says_in_its_body_when_to_come_back() {
    let fake = start().await;
    let path = format!("{GEMINI}:generateContent");
    let read = ask(&fake, &path, "throttle,retry-info-ms=1500", &contents()).await;
    assert_eq!(read.status, 429);
    let error = &read.json()["error"];
    assert_eq!(error["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(error["details"][0]["retryDelay"], "1.500000000s");
    let quota = ask(&fake, &path, "quota", &contents()).await.json();
    let id = quota["error"]["details"][0]["violations"][0]["quotaId"]
        .as_str()
        .unwrap();
    assert!(id.contains("PerDay"));
}

#[tokio::test]
async fn anthropic_is_spoken_on_vertex_too() {
    let fake = start().await;
    let path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict";
    let body = json!({"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "hi"}]});
    let events = ask(&fake, path, "", &body).await.events();
    assert_eq!(events[0]["message"]["model"], "claude");
}

#[tokio::test]
async fn ollama_streams_lines_unless_told_otherwise() {
    let fake = start().await;
    let mut body = json!({"model": "llama", "messages": [{"role": "user", "content": "one two"}]});
    let read = ask(&fake, "/api/chat", "", &body).await;
    assert_eq!(read.header("content-type"), Some("application/x-ndjson"));
    let all = lines(&read.text);
    assert_eq!(all.len(), 4);
    assert_eq!(all[1]["message"]["content"], "one ");
    let last = &all[3];
    assert_eq!(
        (&last["done"], &last["eval_count"]),
        (&json!(true), &json!(3))
    );
    let read = ask(&fake, "/api/chat", "err-at=1", &body).await;
    assert!(lines(&read.text)[1]["error"].is_string());
    body["stream"] = false.into();
    let json = ask(&fake, "/api/chat", "", &body).await.json();
    assert_eq!(json["message"]["content"], "echo: one two");
    let body = json!({"model": "llama", "prompt": "one", "options": {"num_predict": 1}});
    let all = lines(&ask(&fake, "/api/generate", "", &body).await.text);
    assert_eq!(all[0]["response"], "echo: ");
    assert_eq!(all[1]["done_reason"], "length");
}
