//! Streams that break after their first content and are gone on with.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use crate::common::*;
use fallback_layer::{Chain, Failover, FallbackLayer, Inner, Prefill, Served, Target};
use http::Request;
use http_body_util::{BodyExt, Full};
use llm_exchange::{
    Call, Dialect, End, Meter, Payload, Standard, Verdict,
    sse::Decoder,
    stream::{DeltaReader, StreamError},
};
use serde_json::{Value, json};

/// Calls for `a` go on to `b`; both go on from a beginning.
fn chain() -> Chain {
    let takes = |model| Target::model(model).prefill(Prefill::LastMessage);
    Chain::of(takes("a")).then(takes("b"))
}

fn over(chain: Chain) -> FallbackLayer<Inner, Standard, (), Failover> {
    FallbackLayer::new(chain).unwrap().failover(Failover::new())
}

fn asks(more: Value) -> Request<Full<bytes::Bytes>> {
    let mut all =
        json!({"model": "a", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    post("https://api.example/v1/chat/completions", &all.to_string())
}

/// A chunk of the stream with this id.
fn chunk(id: &str, choice: &str) -> String {
    let model = id.split('-').next().unwrap();
    format!(
        "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"{model}\",\"choices\":[{{\"index\":0,{choice}}}]}}\n\n"
    )
}

fn role(id: &str) -> String {
    chunk(
        id,
        r#""delta":{"role":"assistant","content":""},"finish_reason":null"#,
    )
}

fn says(id: &str, text: &str) -> String {
    chunk(
        id,
        &format!(
            r#""delta":{{"content":{}}},"finish_reason":null"#,
            json!(text)
        ),
    )
}

fn stop(id: &str) -> String {
    chunk(id, r#""delta":{},"finish_reason":"stop""#)
}

fn usage(id: &str, input: u64, output: u64) -> String {
    format!(
        "data: {{\"id\":\"{id}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output}}}}}\n\n"
    )
}

fn breaks(text: &str) -> Answer {
    Answer::stream(
        ScriptedBody::new()
            .data(role("a-1"))
            .data(says("a-1", text))
            .error("reset"),
    )
}

fn goes_on(text: &str) -> Answer {
    Answer::sse([
        role("b-2"),
        says("b-2", text),
        stop("b-2"),
        usage("b-2", 20, 5),
        DONE.into(),
    ])
}

/// What a reader of the stream makes of it: the text, and how it ended.
fn read(stream: &str, dialect: Dialect) -> (String, Result<(), StreamError>) {
    let mut decoder = Decoder::new();
    decoder.push(stream.to_owned().into());
    let (mut reader, mut text) = (DeltaReader::new(dialect), String::new());
    while let Some(event) = decoder.next_event() {
        if let Err(error) = reader.push(&event.unwrap()) {
            return (text, Err(error));
        }
        while let Some(delta) = reader.next_delta() {
            text.push_str(&delta.text);
        }
    }
    (text, reader.finish())
}

fn sent(script: &Script, at: usize) -> Value {
    serde_json::from_slice(script.seen()[at].body.as_ref().unwrap()).unwrap()
}

async fn answered_by(script: &Script, more: Value) -> String {
    let response = over(chain())
        .layer(script.clone())
        .oneshot(asks(more))
        .await
        .unwrap();
    text(response).await
}

/// The caller sees that the stream broke.
async fn breaks_off(layer: FallbackLayer<Inner, Standard, (), Failover>, script: &Script) {
    let service = layer.layer(script.clone());
    let response = service.oneshot(asks(json!({}))).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_gone_on_with_and_read_as_one() {
    let script = script()
        .then(breaks("The quick "))
        .then(goes_on("brown fox"));
    let layer = over(chain());
    let handle = layer.handle();
    let response = layer
        .layer(script.clone())
        .oneshot(asks(json!({"max_tokens": 99})))
        .await
        .unwrap();
    let served = Served::of(&response).unwrap().clone();
    assert!(served.went_on().is_empty());
    let stream = text(response).await;
    let (said, end) = read(&stream, Dialect::OpenAiChat);
    assert_eq!(said, "The quick brown fox");
    end.unwrap();
    // what was broken off goes on at the same target, from where it was, under its names
    assert_eq!(asked(&script), ["a", "a"]);
    assert_eq!(
        sent(&script, 1)["messages"][1],
        json!({"role": "assistant", "content": "The quick"})
    );
    assert!(sent(&script, 1)["max_tokens"].as_u64().unwrap() < 99);
    assert_eq!(script.seen()[1].headers["x-llm-attempt"], "2");
    assert_eq!(stream.matches("assistant").count(), 1, "{stream}");
    assert!(!stream.contains("b-2"), "{stream}");
    assert_eq!(
        stream.matches(": continued by a\n\n").count(),
        1,
        "{stream}"
    );
    assert_eq!(served.went_on(), ["a"]);
    assert_eq!(handle.stats().failed_over, 1);
}

#[tokio::test(start_paused = true)]
async fn where_the_target_has_no_room_the_next_one_goes_on() {
    let overloaded = "data: {\"error\":{\"message\":\"x\",\"type\":\"overloaded_error\",\"code\":\"server_overloaded\"}}\n\n";
    let first = Answer::sse([
        role("a-1"),
        says("a-1", "One two"),
        overloaded.into(),
        DONE.into(),
    ]);
    let script = script().then(first).then(goes_on(" three"));
    let stream = answered_by(&script, json!({})).await;
    assert_eq!(read(&stream, Dialect::OpenAiChat).0, "One two three");
    assert_eq!(asked(&script), ["a", "b"]);
    assert!(!stream.contains("error"), "{stream}");
    assert!(stream.contains(": continued by b\n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_further_attempt_that_fails_before_its_content_is_followed_by_the_next_target() {
    let script = script()
        .then(breaks("One "))
        .then(Answer::status(500))
        .then(goes_on("two"));
    let stream = answered_by(&script, json!({})).await;
    assert_eq!(read(&stream, Dialect::OpenAiChat).0, "One two");
    assert_eq!(asked(&script), ["a", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn words_that_are_said_again_at_the_seam_are_left_out() {
    let script = script()
        .then(breaks("It jumps over the lazy do"))
        .then(goes_on("over the lazy dog."));
    let stream = answered_by(&script, json!({})).await;
    assert_eq!(
        read(&stream, Dialect::OpenAiChat).0,
        "It jumps over the lazy dog."
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_without_its_end_is_gone_on_with_and_half_an_event_is_not_handed_on() {
    let cut = says("a-1", "lost");
    let first = Answer::sse([role("a-1"), says("a-1", "One "), cut[..40].to_owned()]);
    let script = script().then(first).then(goes_on("two"));
    let stream = answered_by(&script, json!({})).await;
    let (said, end) = read(&stream, Dialect::OpenAiChat);
    assert_eq!(said, "One two");
    end.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_gone_on_with_ends_byte_for_byte_as_it_came() {
    let events = [
        role("a-1"),
        says("a-1", "{\"a\":"),
        SERVER_ERROR.into(),
        DONE.into(),
    ];
    for more in [
        json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"n": 2}),
        json!({"logprobs": true}),
        json!({"something_new": 1}),
    ] {
        let script = script()
            .then(Answer::sse(events.clone()))
            .then(goes_on("!"));
        assert_eq!(
            answered_by(&script, more.clone()).await,
            events.concat(),
            "{more}"
        );
        assert_eq!(script.calls(), 1, "{more}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_not_known_to_go_on_is_not_asked_to() {
    let events = [role("a-1"), says("a-1", "One"), SERVER_ERROR.into()];
    let script = script()
        .then(Answer::sse(events.clone()))
        .then(goes_on("!"));
    let service = over(Chain::of("a").then("b")).layer(script.clone());
    let stream = text(service.oneshot(asks(json!({}))).await.unwrap()).await;
    assert_eq!((stream, script.calls()), (events.concat(), 1));
}

#[tokio::test(start_paused = true)]
async fn filtered_content_is_sent_nowhere_else() {
    // also where the last event lacks its blank line
    for end in ["\n\n", ""] {
        let filtered = format!("data: {FILTERED}{end}");
        let events = [role("a-1"), says("a-1", "One"), filtered];
        let script = script()
            .then(Answer::sse(events.clone()))
            .then(goes_on("!"));
        assert_eq!(answered_by(&script, json!({})).await, events.concat());
        assert_eq!(script.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_goes_on_the_stream_ends_as_it_would_have() {
    let failing = || Answer::status(500);
    let events = [role("a-1"), says("a-1", "One"), SERVER_ERROR.into()];
    let script = script()
        .then(Answer::sse(events.clone()))
        .then(failing())
        .then(failing());
    assert_eq!(answered_by(&script, json!({})).await, events.concat());
    assert_eq!(asked(&script), ["a", "a", "b"]);

    let script = self::script()
        .then(breaks("One"))
        .then(failing())
        .then(failing());
    let response = over(chain())
        .layer(script)
        .oneshot(asks(json!({})))
        .await
        .unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn it_is_gone_on_with_as_often_as_the_app_says() {
    let again = || Answer::stream(ScriptedBody::new().data(says("b-2", "two ")).error("reset"));
    let script = script()
        .then(breaks("One "))
        .then(again())
        .then(goes_on("three"));
    let twice = FallbackLayer::new(chain())
        .unwrap()
        .failover(Failover::new().times(2));
    let stream = text(
        twice
            .layer(script.clone())
            .oneshot(asks(json!({})))
            .await
            .unwrap(),
    )
    .await;
    let (said, end) = read(&stream, Dialect::OpenAiChat);
    assert_eq!(said, "One two three");
    end.unwrap();
    assert_eq!(sent(&script, 2)["messages"][1]["content"], "One two");

    let script = self::script()
        .then(breaks("One "))
        .then(again())
        .then(goes_on("three"));
    breaks_off(over(chain()), &script).await;
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_booked_once_and_the_meter_of_the_answer_is_the_last_ones() {
    let request = Payload::read(asks(json!({})), 1 << 20).await;
    let call = Arc::clone(Call::of(&request).unwrap());
    let overloaded =
        "data: {\"error\":{\"type\":\"overloaded_error\",\"code\":\"server_overloaded\"}}\n\n";
    let first = Answer::sse([
        role("a-1"),
        says("a-1", "One two three four"),
        overloaded.into(),
    ]);
    let script = script().then(first).then(goes_on(" five"));
    let response = over(chain()).layer(script).oneshot(request).await.unwrap();
    let meter = Meter::of(&response).unwrap().clone();
    assert_eq!(meter.asked_model(), Some("a"));
    text(response).await;
    let left = call.attempts().left_behind();
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].model.as_deref(), left[0].verdict),
        (Some("a"), Verdict::Overloaded)
    );
    let first = left[0].meter.as_ref().unwrap();
    assert!(first.spent().1 && first.spent().0.output() >= 4);
    assert_eq!(
        (meter.asked_model(), meter.model().as_deref()),
        (Some("b"), Some("b"))
    );
    assert_eq!((meter.spent().0.input(), meter.spent().0.output()), (20, 5));
    assert_eq!(meter.end(), Some(End::Complete));
    assert_eq!(meter.output_tokens(), first.output_tokens() + 5);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_goes_on_every_attempt_is_still_booked_once() {
    let request = Payload::read(asks(json!({})), 1 << 20).await;
    let call = Arc::clone(Call::of(&request).unwrap());
    let empty = || Answer::sse([role("b-2"), usage("b-2", 20, 0), SERVER_ERROR.into()]);
    let script = script().then(breaks("One two")).then(empty()).then(empty());
    let response = over(chain()).layer(script).oneshot(request).await.unwrap();
    let meter = Meter::of(&response).unwrap().clone();
    response.into_body().collect().await.unwrap_err();
    let left = call.attempts().left_behind();
    let models: Vec<_> = left
        .iter()
        .map(|left| left.model.as_deref().unwrap())
        .collect();
    assert_eq!(models, ["a", "a", "b"]);
    assert_eq!(meter.spent().0.total(), 0);
    assert_eq!(meter.end(), Some(End::Broken));
}

#[tokio::test(start_paused = true)]
async fn an_allowance_that_is_used_up_is_not_gone_past() {
    struct Never;
    impl llm_exchange::Extend for Never {
        fn poll_extend(&self, _: &[Option<&str>], _: &mut Context<'_>) -> Poll<bool> {
            Poll::Ready(false)
        }

        fn is_over(&self) -> bool {
            false
        }
    }
    let request = Payload::read(asks(json!({})), 1 << 20).await;
    Call::of(&request)
        .unwrap()
        .attempts()
        .extend_with(Arc::new(Never));
    let script = script().then(breaks("One")).then(goes_on("!"));
    let response = over(chain())
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(script.calls(), 1);

    let script = self::script().then(breaks("One")).then(goes_on("!"));
    let one = over(chain()).max_attempts(1);
    breaks_off(one, &script).await;
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_healthy_stream_passes_byte_for_byte_however_it_is_cut() {
    let whole = [
        role("a-1"),
        ": ping\n\n".into(),
        says("a-1", "Hällo"),
        stop("a-1"),
        DONE.into(),
    ]
    .concat();
    for size in [1, 7, 4096] {
        let chunks: Vec<_> = whole
            .as_bytes()
            .chunks(size)
            .map(|chunk| chunk.to_vec())
            .collect();
        let script = script().then(Answer::sse(chunks));
        assert_eq!(answered_by(&script, json!({})).await, whole);
    }
    let open = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}";
    let script = script().then(Answer::sse([open])).then(goes_on("!"));
    assert_eq!(
        answered_by(&script, json!({})).await,
        open,
        "its end lacks a blank line"
    );
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_chain_may_be_left_out() {
    let script = script().then(breaks("One")).then(goes_on("!"));
    breaks_off(over(chain().no_failover()), &script).await;
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn text_of_two_models_is_not_mixed_where_the_app_says_so() {
    let same = FallbackLayer::new(chain())
        .unwrap()
        .failover(Failover::new().same_target_only());
    let script = script()
        .then(breaks("One"))
        .then(Answer::status(500))
        .then(goes_on("!"));
    breaks_off(same, &script).await;
    assert_eq!(asked(&script), ["a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_longer_text_than_is_kept_is_not_gone_on_with() {
    let small = FallbackLayer::new(chain())
        .unwrap()
        .failover(Failover::new().max_text_bytes(8));
    let script = script().then(breaks("nine bytes")).then(goes_on("!"));
    breaks_off(small, &script).await;
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_app_puts_on_a_target_may_rule_it_out_too() {
    let takes = |model| Target::model(model).prefill(Prefill::LastMessage);
    let json = json!({"type": "json_object"});
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    for (name, value) in [
        ("response_format", json),
        ("tools", tool),
        ("n", json!(2)),
        ("stop", json!(["One stop"])),
    ] {
        // who broke off had it
        let chain = Chain::of(takes("a").parameter(name, value.clone())).then(takes("b"));
        let script = script().then(breaks("One "));
        breaks_off(over(chain), &script).await;
        assert_eq!(script.calls(), 1, "{name}");
        // who would go on has it
        let busy =
            "data: {\"error\":{\"type\":\"overloaded_error\",\"code\":\"server_overloaded\"}}\n\n";
        let chain = Chain::of(takes("a"))
            .then(takes("b").parameter(name, value))
            .then(takes("c"));
        let script = self::script()
            .then(Answer::sse([
                role("a-1"),
                says("a-1", "One "),
                busy.to_owned(),
            ]))
            .then(goes_on("two"));
        let response = over(chain)
            .layer(script.clone())
            .oneshot(asks(json!({})))
            .await
            .unwrap();
        text(response).await;
        assert_eq!(asked(&script), ["a", "c"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_stream_does_not_go_on_and_the_next_target_is_asked() {
    let script = script()
        .then(breaks("One "))
        .then(answered())
        .then(goes_on("two"));
    let response = over(chain())
        .layer(script.clone())
        .oneshot(asks(json!({})))
        .await
        .unwrap();
    let served = Served::of(&response).unwrap().clone();
    let (said, end) = read(&text(response).await, Dialect::OpenAiChat);
    end.unwrap();
    assert_eq!(
        (said.as_str(), asked(&script)),
        ("One two", vec!["a".to_owned(), "a".into(), "b".into()])
    );
    assert_eq!(served.went_on(), ["b"]);

    let script = self::script().then(breaks("One ")).then_always(answered);
    breaks_off(over(chain()), &script).await;
    assert_eq!(asked(&script), ["a", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_long_to_go_on_with_ends_the_stream_as_it_ended_before() {
    let endless = Answer::stream(
        ScriptedBody::new()
            .data(role("b-2"))
            .data(says("b-2", "One"))
            .data(format!("data: {}", "x".repeat(5 << 20)))
            .wait(std::time::Duration::MAX),
    );
    // the server may begin with what it goes on from: the first words are held back
    let takes = |model| Target::model(model).prefill(Prefill::PrefixMember);
    let script = script().then(breaks("One and ")).then(endless);
    let response = over(Chain::of(takes("a")))
        .layer(script.clone())
        .oneshot(asks(json!({})))
        .await
        .unwrap();
    let mut body = response.into_body();
    let mut stream = Vec::new();
    let error = loop {
        match body.frame().await.unwrap() {
            Ok(frame) => stream.extend(frame.into_data().unwrap()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "reset");
    let stream = String::from_utf8(stream).unwrap();
    assert_eq!(read(&stream, Dialect::OpenAiChat).0, "One and One");
    assert!(!stream.contains("xxx"));
}
