//! A stored stream serves an unstreamed call, and the reverse.

use serde_json::Value;

use crate::common::*;

const MESSAGES: &str = "https://api.example/v1/messages";

#[tokio::test(start_paused = true)]
async fn a_stored_stream_serves_an_unstreamed_call_with_its_usage() {
    let script = Script::new().then(streamed());
    let layer = layer();
    ask(&layer, &script, post(STREAMED)).await;
    let got = ask(&layer, &script, post(CHAT)).await;
    assert_eq!(
        (got.cache(), got.header("content-type")),
        ("hit", Some("application/json"))
    );
    assert_eq!(
        got.header("content-length"),
        Some(&*got.text.len().to_string())
    );
    let json: Value = serde_json::from_str(&got.text).unwrap();
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["choices"][0]["message"]["content"], "Hello");
    assert_eq!(json["choices"][0]["finish_reason"], "stop");
    assert_eq!(json["usage"]["total_tokens"], 11);
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stored_answer_serves_a_streamed_call_to_its_terminator() {
    let script = Script::new().then(answered());
    let layer = layer();
    ask(&layer, &script, post(CHAT)).await;
    let got = ask(&layer, &script, post(STREAMED)).await;
    assert_eq!(
        (got.cache(), got.header("content-type")),
        ("hit", Some("text/event-stream"))
    );
    assert!(got.text.ends_with(DONE) && got.text.contains("Hello"));
    assert!(!got.text.contains("total_tokens"), "{}", got.text);
    assert_eq!(got.header("content-length"), None);
    let asks = STREAMED.replace("true", "true,\"stream_options\":{\"include_usage\":true}");
    let got = ask(&layer, &script, post(&asks)).await;
    assert!(got.text.contains("\"total_tokens\":10"));
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn anthropics_messages_too() {
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{"type":"text","text":"Lemon"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}"#;
    let script = Script::new().then(Answer::json(200, answer));
    let layer = layer();
    let post = |more: &str| {
        let body = format!(
            r#"{{"model":"claude-sonnet-5-5","max_tokens":9,"temperature":0,"messages":[]{more}}}"#
        );
        let mut request = post(&body);
        *request.uri_mut() = MESSAGES.parse().unwrap();
        request
    };
    assert_eq!(ask(&layer, &script, post("")).await.cache(), "miss");
    let got = ask(&layer, &script, post(",\"stream\":true")).await;
    assert_eq!(got.cache(), "hit");
    assert!(got.text.contains("event: message_stop"), "{}", got.text);
    let exact = ask(&layer, &script, post("")).await;
    assert_eq!((exact.cache(), &*exact.text), ("hit", answer));
}
