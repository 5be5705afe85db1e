//! Healthy answers and errors of the formats beside chat and messages.

use fake_provider::Outcome;
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

#[tokio::test]
async fn an_error_in_a_stream_of_responses_is_flat() {
    let fake = start().await;
    let body = json!({"model": "gpt", "input": "hi", "stream": true});
    let read = ask(&fake, "/v1/responses", "err-at=1,err-status=429", &body).await;
    let last = read.events().pop().unwrap();
    assert_eq!(
        (&last["type"], &last["code"]),
        (&json!("error"), &json!("rate_limit_exceeded"))
    );
    assert!(read.text.contains("event: error\n"));
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
