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

#[tokio::test(start_paused = true)]
async fn claude_on_vertex_ai_has_one_answer_at_both_of_its_addresses() {
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{"type":"text","text":"Lemon"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}"#;
    let script = Script::new().then(Answer::json(200, answer));
    let layer = layer();
    let post = |verb: &str| {
        let mut request = post(
            r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":9,"temperature":0,"messages":[]}"#,
        );
        let uri = format!(
            "https://api.example/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-5-5:{verb}"
        );
        *request.uri_mut() = uri.parse().unwrap();
        request
    };
    assert_eq!(
        ask(&layer, &script, post("rawPredict")).await.cache(),
        "miss"
    );
    let got = ask(&layer, &script, post("streamRawPredict")).await;
    assert_eq!(
        (got.cache(), got.header("content-type")),
        ("hit", Some("text/event-stream"))
    );
    assert!(got.text.contains("event: message_stop"), "{}", got.text);
}

#[tokio::test(start_paused = true)]
async fn and_openais_responses() {
    let answer = r#"{"id":"resp_1","object":"response","status":"completed","model":"gpt-6-sol","output":[{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Lemon","annotations":[]}]}],"usage":{"input_tokens":9,"output_tokens":1,"total_tokens":10}}"#;
    let post = |more: &str| {
        let mut request = post(&format!(
            r#"{{"model":"gpt-6-sol","temperature":0,"input":"q"{more}}}"#
        ));
        *request.uri_mut() = "https://api.example/v1/responses".parse().unwrap();
        request
    };
    let script = Script::new().then(Answer::json(200, answer));
    let layer = layer();
    ask(&layer, &script, post("")).await;
    let stream = ask(&layer, &script, post(",\"stream\":true")).await;
    assert_eq!(
        (stream.cache(), stream.header("content-type")),
        ("hit", Some("text/event-stream"))
    );
    assert!(
        stream.text.contains("event: response.output_text.delta"),
        "{}",
        stream.text
    );
    let (_, end) = stream.text.rsplit_once("event: ").unwrap();
    assert!(
        end.starts_with("response.completed") && end.contains("\"total_tokens\":10"),
        "{end}"
    );

    // and what streamed so is stored and serves the other
    let script = Script::new().then(Answer::sse([stream.text.clone()]));
    let other = crate::common::layer();
    ask(&other, &script, post(",\"stream\":true")).await;
    let json = ask(&other, &script, post("")).await;
    assert_eq!((json.cache(), &*json.text), ("hit", answer));
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_a_stream_cannot_be_put_together_a_call_is_made_and_no_form_is_mixed_up() {
    let answer = r#"{"candidates":[{"content":{"parts":[{"text":"Lemon"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1,"totalTokenCount":10},"modelVersion":"gemini-3-pro"}"#;
    let script = Script::new()
        .then(Answer::json(200, answer))
        .then(Answer::sse([format!("data: {answer}\r\n\r\n")]))
        .then(Answer::json(200, format!("[{answer}]")));
    let layer = layer();
    let post = |verb: &str| {
        let mut request =
            post(r#"{"contents":[{"parts":[{"text":"q"}]}],"generationConfig":{"temperature":0}}"#);
        let uri = format!("https://api.example/v1beta/models/gemini-3-pro:{verb}");
        *request.uri_mut() = uri.parse().unwrap();
        request
    };
    let verbs = [
        "generateContent",
        "streamGenerateContent?alt=sse",
        "streamGenerateContent",
    ];
    let mut texts = Vec::new();
    for verb in verbs {
        let got = ask(&layer, &script, post(verb)).await;
        assert_eq!(got.cache(), "miss", "{verb}");
        texts.push(got.text);
    }
    for (verb, text) in verbs.iter().zip(texts) {
        let got = ask(&layer, &script, post(verb)).await;
        assert_eq!((got.cache(), &got.text), ("hit", &text), "{verb}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_paced_by_the_events_or_lines_of_its_dialect_in_whatever_form_it_is_stored() {
    let lines = [
        r#"{"model":"llama3.2","created_at":"2026-11-25T00:00:00Z","message":{"role":"assistant","content":"Hel"},"done":false}"#,
        r#"{"model":"llama3.2","created_at":"2026-11-25T00:00:00Z","message":{"role":"assistant","content":"lo"},"done":false}"#,
        r#"{"model":"llama3.2","created_at":"2026-11-25T00:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":2}"#,
    ]
    .map(|line| format!("{line}\n"));
    let ollama = |streams: bool| {
        let body = format!(
            r#"{{"model":"llama3.2","messages":[],"options":{{"temperature":0}},"stream":{streams}}}"#
        );
        let mut request = post(&body);
        *request.uri_mut() = "http://localhost:11434/api/chat".parse().unwrap();
        request
    };
    let chat = |streams: bool| post(if streams { STREAMED } else { CHAT });
    let of_lines = || {
        let body = ScriptedBody::chunks(lines.clone());
        let answer = Answer::status(200).header("content-type", "application/x-ndjson");
        answer.body(body)
    };
    let whole = lines[2].replace("\"content\":\"\"", "\"content\":\"Hello\"");
    type Call<'a> = &'a dyn Fn(bool) -> http::Request<http_body_util::Full<bytes::Bytes>>;
    for (call, stored, streams, pauses) in [
        (&ollama as Call<'_>, of_lines(), true, 2..3),
        (&ollama, Answer::json(200, whole), false, 1..9),
        (&chat, streamed(), true, 4..5),
        (&chat, answered(), false, 2..9),
    ] {
        let layer = layer().pace(SECOND);
        let script = Script::new().then(stored);
        ask(&layer, &script, call(streams)).await;
        let start = tokio::time::Instant::now();
        let hit = ask(&layer, &script, call(true)).await;
        assert_eq!(hit.cache(), "hit");
        let paused = start.elapsed().as_secs();
        assert!(pauses.contains(&paused), "{paused} s: {}", hit.text);
    }
}
