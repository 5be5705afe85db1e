//! Streams that break and go on at a target of another dialect, as one stream of their caller's.

use std::sync::Arc;

use crate::common::*;
use bytes::Bytes;
use fallback_layer::{Chain, Failover, FallbackLayer, Inner, Prefill, Served, Target};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use llm_exchange::{
    AskedModel, Call, Dialect, End, Meter, Payload, Standard, Verdict,
    sse::Decoder,
    stream::{Collector, DeltaReader},
};
use serde_json::{Value, json};
use testkit::{Point, drop_everywhere};

const CLAUDE: &str = "claude-sonnet-4-5";

fn claude() -> Target {
    Target::model(CLAUDE)
        .at("https://api.anthropic.com")
        .credential("sk-ant-ours")
        .dialect(Dialect::AnthropicMessages)
}

/// A server of the chat API that goes on from a beginning.
fn vllm() -> Target {
    Target::model("llama3")
        .at("http://127.0.0.1:8000")
        .without_credential()
        .dialect(Dialect::OpenAiChat)
        .prefill(Prefill::ContinueFinalMessage)
}

fn over(chain: Chain) -> FallbackLayer<Inner, Standard, (), Failover> {
    FallbackLayer::new(chain).unwrap().failover(Failover::new())
}

fn asks(dialect: Dialect, more: Value) -> Request<Full<Bytes>> {
    let (path, mut json) = match dialect {
        Dialect::Gemini => (
            "/v1beta/models/a:streamGenerateContent?alt=sse",
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        ),
        Dialect::AnthropicMessages => (
            "/v1/messages",
            json!({"model": "a", "stream": true, "max_tokens": 99,
                "messages": [{"role": "user", "content": "hi"}]}),
        ),
        _ => (
            "/v1/chat/completions",
            json!({"model": "a", "stream": true, "max_tokens": 99,
                "messages": [{"role": "user", "content": "hi"}]}),
        ),
    };
    for (name, value) in more.as_object().unwrap() {
        json[name] = value.clone();
    }
    post(&format!("https://api.example{path}"), &json.to_string())
}

/// The beginning of a stream in this dialect, with this text.
fn begins(dialect: Dialect, text: &str) -> String {
    match dialect {
        Dialect::OpenAiChat => [
            json!({"id": "chat-1", "object": "chat.completion.chunk", "created": 7, "model": "a",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
            json!({"id": "chat-1", "object": "chat.completion.chunk", "created": 7, "model": "a",
                "choices": [{"index": 0, "delta": {"content": text}}]}),
        ]
        .map(|event| format!("data: {event}\n\n"))
        .concat(),
        Dialect::AnthropicMessages => [
            json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
                "role": "assistant", "model": "a", "content": [], "stop_reason": null,
                "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": text}}),
        ]
        .map(|event| named(&event))
        .concat(),
        _ => format!(
            "data: {}\r\n\r\n",
            json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}],
                "responseId": "gem-1", "modelVersion": "a"})
        ),
    }
}

/// How such a stream ends, with 5 output tokens of 20.
fn ends(dialect: Dialect) -> String {
    match dialect {
        Dialect::OpenAiChat => [
            json!({"id": "chat-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
            json!({"id": "chat-1", "choices": [],
                "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}}),
        ]
        .map(|event| format!("data: {event}\n\n"))
        .concat()
            + DONE,
        Dialect::AnthropicMessages => [
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                "usage": {"input_tokens": 20, "output_tokens": 5}}),
            json!({"type": "message_stop"}),
        ]
        .map(|event| named(&event))
        .concat(),
        _ => format!(
            "data: {}\r\n\r\n",
            json!({"candidates": [{"content": {"parts": [{"text": ""}], "role": "model"},
                    "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5, "totalTokenCount": 25},
                "responseId": "gem-1", "modelVersion": "a"})
        ),
    }
}

fn named(event: &Value) -> String {
    format!(
        "event: {}\ndata: {event}\n\n",
        event["type"].as_str().unwrap()
    )
}

fn breaks(dialect: Dialect, text: &str) -> Answer {
    Answer::stream(
        ScriptedBody::new()
            .data(begins(dialect, text))
            .error("reset"),
    )
}

fn goes_on(dialect: Dialect, text: &str) -> Answer {
    Answer::sse([begins(dialect, text), ends(dialect)])
}

fn sent(script: &Script, at: usize) -> Value {
    serde_json::from_slice(script.seen()[at].body.as_ref().unwrap()).unwrap()
}

/// The text that a reader of the stream has, which came to its end.
fn read(stream: &str, dialect: Dialect) -> String {
    let mut decoder = Decoder::new();
    decoder.push(stream.to_owned().into());
    let (mut reader, mut text) = (DeltaReader::new(dialect), String::new());
    while let Some(event) = decoder.next_event() {
        reader.push(&event.unwrap()).unwrap();
        while let Some(delta) = reader.next_delta() {
            text.push_str(&delta.text);
        }
    }
    reader.finish().unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn a_chat_goes_on_at_claude_as_one_chat_and_both_are_booked() {
    let request = asks(
        Dialect::OpenAiChat,
        json!({"stream_options": {"include_usage": true}}),
    );
    let request = Payload::read(request, 1 << 20).await;
    let call = Arc::clone(Call::of(&request).unwrap());
    let script = script()
        .then(breaks(Dialect::OpenAiChat, "The quick "))
        .then(goes_on(Dialect::AnthropicMessages, "brown fox"));
    let layer = over(Chain::of("a").then(claude()));
    let handle = layer.handle();
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    let served = Served::of(&response).unwrap().clone();
    let meter = Meter::of(&response).unwrap().clone();
    let stream = text(response).await;
    assert_eq!(read(&stream, Dialect::OpenAiChat), "The quick brown fox");
    // one answer of the caller's dialect, under its first names
    assert_eq!(stream.matches("\"role\"").count(), 1, "{stream}");
    assert!(
        !stream.contains("msg_1") && !stream.contains("event:"),
        "{stream}"
    );
    assert!(stream.ends_with(DONE), "{stream}");
    let mark = format!(": continued by {CLAUDE}\n\n");
    assert_eq!(stream.matches(&mark).count(), 1, "{stream}");
    // what was sent is the target's own dialect, with what the caller has as the beginning
    let seen = &script.seen()[1];
    assert_eq!(seen.uri, "https://api.anthropic.com/v1/messages");
    assert_eq!(seen.headers["x-api-key"], "sk-ant-ours");
    assert!(!seen.headers.contains_key("authorization"));
    assert_eq!(
        sent(&script, 1)["messages"],
        json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "The quick"}])
    );
    assert!(sent(&script, 1)["max_tokens"].as_u64().unwrap() < 99);
    // each is booked once, at its own model
    let left = call.attempts().left_behind();
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].model.as_deref(), left[0].verdict),
        (Some("a"), Verdict::Failed)
    );
    assert!(left[0].meter.as_ref().unwrap().spent().0.output() >= 2);
    assert_eq!(
        (meter.asked_model(), meter.end()),
        (Some(CLAUDE), Some(End::Complete))
    );
    assert_eq!((meter.spent().0.input(), meter.spent().0.output()), (20, 5));
    assert_eq!(served.went_on(), [CLAUDE]);
    assert_eq!(handle.stats().failed_over, 1);
}

/// Names of events, each once where it comes often.
fn order(stream: &str) -> Vec<&str> {
    let names = stream
        .lines()
        .filter_map(|line| line.strip_prefix("event: "));
    let mut order: Vec<_> = names.collect();
    order.dedup();
    order
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_on_at_a_server_of_the_chat_api_in_the_official_order() {
    let script = script()
        .then(breaks(Dialect::AnthropicMessages, "One, two,\n"))
        .then(goes_on(Dialect::OpenAiChat, "three."));
    let layer = over(Chain::of("a").then(vllm()));
    let request = asks(Dialect::AnthropicMessages, json!({}));
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    let stream = text(response).await;
    assert_eq!(
        order(&stream),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let mut collector = Collector::new(Dialect::AnthropicMessages);
    let mut decoder = Decoder::new();
    decoder.push(stream.into());
    while let Some(event) = decoder.next_event() {
        collector.push(&event.unwrap()).unwrap();
    }
    let message: Value = serde_json::from_slice(&collector.finish().unwrap()).unwrap();
    assert_eq!(message["id"], "msg_1");
    assert_eq!(
        message["content"],
        json!([{"type": "text", "text": "One, two,\nthree."}])
    );
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["usage"]["input_tokens"], 20);
    assert_eq!(message["usage"]["output_tokens"], 5);
    let sent = sent(&script, 1);
    assert_eq!(
        sent["messages"][1],
        json!({"role": "assistant", "content": "One, two,"})
    );
    assert_eq!(sent["continue_final_message"], true);
    assert!(sent["max_completion_tokens"].as_u64().unwrap() < 99);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_and_wherever_it_goes_on_the_text_is_one() {
    let all = [
        Dialect::OpenAiChat,
        Dialect::AnthropicMessages,
        Dialect::Gemini,
    ];
    for (caller, target) in all
        .into_iter()
        .flat_map(|one| all.map(|other| (one, other)))
    {
        let next = Target::model("b")
            .dialect(target)
            .prefill(Prefill::LastMessage);
        let script = script()
            .then(breaks(caller, "It jumps over the lazy do"))
            .then(goes_on(target, "over the lazy dog."));
        let layer = over(Chain::of("a").then(next));
        let request = asks(caller, json!({}));
        let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
        let stream = text(response).await;
        assert_eq!(
            read(&stream, caller),
            "It jumps over the lazy dog.",
            "{caller:?} {target:?}"
        );
        // Google's clients fail at a comment
        let mark = stream.contains(": continued by b\n\n");
        assert_eq!(mark, caller != Dialect::Gemini, "{stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_translated_goes_on_at_its_own_target_and_at_others() {
    // the connection breaks: the same one goes on
    let script = script()
        .then(breaks(Dialect::AnthropicMessages, "One "))
        .then(goes_on(Dialect::AnthropicMessages, "two"));
    let chain = || Chain::for_model("a").then(claude()).then(vllm());
    let request = || asks(Dialect::OpenAiChat, json!({}));
    let request = Payload::read(request(), 1 << 20).await;
    let call = Arc::clone(Call::of(&request).unwrap());
    let response = over(chain())
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    let told = response.extensions().get::<AskedModel>().unwrap();
    assert_eq!(told.model(), CLAUDE);
    let meter = Meter::of(&response).unwrap().clone();
    assert_eq!(meter.asked_model(), Some(CLAUDE));
    let stream = text(response).await;
    assert_eq!(read(&stream, Dialect::OpenAiChat), "One two");
    assert_eq!(sent(&script, 1)["messages"][1]["content"], "One");
    let left = call.attempts().left_behind();
    assert_eq!(left[0].model.as_deref(), Some(CLAUDE));
    // its own count, of the prompt too
    assert_eq!(left[0].meter.as_ref().unwrap().spent().0.input(), 9);
    // it says that it has no room: another one does
    let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let script = self::script()
        .then(Answer::sse([
            begins(Dialect::AnthropicMessages, "One "),
            overloaded.into(),
        ]))
        .then(goes_on(Dialect::OpenAiChat, "two"));
    let request = asks(Dialect::OpenAiChat, json!({}));
    let response = over(chain())
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    let stream = text(response).await;
    assert_eq!(read(&stream, Dialect::OpenAiChat), "One two");
    assert!(
        stream.contains(": continued by llama3") && !stream.contains("error"),
        "{stream}"
    );
    assert_eq!(asked(&script), [CLAUDE, "llama3"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_target_that_goes_on_is_not_sent_is_told() {
    let version = HeaderName::from_static("anthropic-version");
    let target = claude().header(version, HeaderValue::from_static("2026-10-21"));
    let script = script()
        .then(breaks(Dialect::OpenAiChat, "One "))
        .then(goes_on(Dialect::AnthropicMessages, "two"));
    let request = asks(Dialect::OpenAiChat, json!({"temperature": 0.5}));
    let layer = over(Chain::of("a").then(target));
    let stream = text(layer.layer(script.clone()).oneshot(request).await.unwrap()).await;
    let mark = format!(": continued by {CLAUDE}, without temperature\n\n");
    assert!(stream.contains(&mark), "{stream}");
    assert_eq!(sent(&script, 1).get("temperature"), None);
}

#[tokio::test(start_paused = true)]
async fn targets_that_do_not_go_on_or_cannot_be_asked_so_are_passed_over() {
    let later = Target::model("claude-sonnet-5")
        .at("https://api.anthropic.com")
        .credential("sk-ant-ours")
        .dialect(Dialect::AnthropicMessages);
    let google = Target::model("gemini-3.8-flash").dialect(Dialect::Gemini);
    let chain = || {
        Chain::of("a")
            .then(later.clone())
            .then(google.clone())
            .then(claude())
    };
    // `seed` is nothing that Claude has: nobody is left, and it ends as it would have
    let script = script()
        .then(breaks(Dialect::OpenAiChat, "One "))
        .then(goes_on(Dialect::AnthropicMessages, "two"));
    let request = asks(Dialect::OpenAiChat, json!({"seed": 7}));
    let response = over(chain())
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!((error.to_string().as_str(), script.calls()), ("reset", 1));
    let script = self::script()
        .then(breaks(Dialect::OpenAiChat, "One "))
        .then(goes_on(Dialect::AnthropicMessages, "two"));
    let request = asks(Dialect::OpenAiChat, json!({}));
    let response = over(chain())
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(read(&text(response).await, Dialect::OpenAiChat), "One two");
    assert_eq!(asked(&script), ["a", CLAUDE]);
}

#[tokio::test(start_paused = true)]
async fn framings_in_which_nothing_can_be_marked_pass_as_they_come() {
    let chunk =
        |text: &str| json!({"candidates": [{"content": {"parts": [{"text": text}]}}]}).to_string();
    let body = || {
        ScriptedBody::new()
            .data(format!("[{},\r\n", chunk("One")))
            .error("reset")
    };
    let uri = "https://api.example/v1beta/models/a:streamGenerateContent";
    let json = json!({"contents": [{"parts": [{"text": "hi"}]}]}).to_string();
    let own = Chain::of(Target::model("a").prefill(Prefill::LastMessage)).then(claude());
    let array = Answer::status(200)
        .header("content-type", "application/json")
        .body(body());
    let translated = Chain::for_model("a").then(claude()).then(vllm());
    for (chain, first) in [
        (own, array),
        (translated, breaks(Dialect::AnthropicMessages, "One")),
    ] {
        let script = script()
            .then(first)
            .then(goes_on(Dialect::AnthropicMessages, "two"));
        let response = over(chain)
            .layer(script.clone())
            .oneshot(post(uri, &json))
            .await
            .unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!((error.to_string().as_str(), script.calls()), ("reset", 1));
    }
}

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_goes_away_the_target_that_goes_on_is_let_go() {
    let points = drop_everywhere(
        async || {
            let first = ScriptedBody::new()
                .data(begins(Dialect::OpenAiChat, "One "))
                .wait(SECOND)
                .error("reset");
            let then = ScriptedBody::new()
                .wait(SECOND)
                .data(begins(Dialect::AnthropicMessages, "two"))
                .wait(SECOND)
                .data(ends(Dialect::AnthropicMessages));
            let script = Script::new()
                .then(Answer::stream(first))
                .then(Answer::stream(then));
            let layer = over(Chain::of("a").then(claude()));
            let request = asks(Dialect::OpenAiChat, json!({}));
            (script.clone(), layer.layer(script).oneshot(request))
        },
        async |script, at| {
            let alive = script.seen().iter().any(|call| call.answer.is_alive());
            assert!(!alive, "{at:?}");
        },
    )
    .await;
    assert_eq!(points.last().unwrap().point, Point::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_goes_on_and_says_nothing_is_in_the_books_when_the_caller_leaves() {
    let began = || {
        let body = ScriptedBody::new().data(begins(Dialect::AnthropicMessages, ""));
        Answer::stream(body.wait(SECOND * 99))
    };
    for (then, input) in [(Answer::hang(), None), (began(), Some(9))] {
        let script = script()
            .then(breaks(Dialect::OpenAiChat, "One "))
            .then(then);
        let request = Payload::read(asks(Dialect::OpenAiChat, json!({})), 1 << 20).await;
        let call = Arc::clone(Call::of(&request).unwrap());
        let response = over(Chain::of("a").then(claude()))
            .layer(script.clone())
            .oneshot(request)
            .await
            .unwrap();
        let outer = Meter::of(&response).unwrap().clone();
        let read = response.into_body().collect();
        tokio::time::timeout(SECOND * 9, read).await.unwrap_err();
        assert_eq!(script.calls(), 2);
        let left = call.attempts().left_behind();
        assert_eq!(left.len(), 2, "{left:?}");
        let meter = left[1].meter.as_ref();
        assert_eq!(
            (left[1].model.as_deref(), left[1].verdict),
            (Some(CLAUDE), Verdict::CallerGone)
        );
        assert_eq!(meter.map(|meter| meter.spent().0.input()), input);
        assert_eq!(
            outer.spent().0.total(),
            0,
            "what is left behind is not here"
        );
    }
}
