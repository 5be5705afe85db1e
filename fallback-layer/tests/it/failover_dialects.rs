//! Going on in the dialects of Anthropic and Google, and what their readers see.

use crate::common::*;
use fallback_layer::{Chain, Failover, FallbackLayer, Prefill, Target};
use http::{Request, header};
use http_body_util::Full;
use llm_exchange::{Dialect, sse::Decoder, stream::Collector};
use serde_json::{Value, json};
use testkit::{Point, drop_everywhere};

fn over(
    chain: Chain,
) -> FallbackLayer<fallback_layer::Inner, llm_exchange::Standard, (), Failover> {
    FallbackLayer::new(chain).unwrap().failover(Failover::new())
}

fn event(data: &Value) -> String {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().unwrap()
    )
}

fn start(id: &str, model: &str, input: u64) -> String {
    event(
        &json!({"type": "message_start", "message": {"id": id, "type": "message", "role": "assistant",
        "model": model, "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": input, "output_tokens": 1, "cache_read_input_tokens": 3}}}),
    )
}

fn block() -> String {
    event(
        &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    )
}

fn says(text: &str) -> String {
    event(
        &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
    )
}

fn ending(output: u64) -> String {
    event(&json!({"type": "content_block_stop", "index": 0}))
        + &event(
            &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": output}}),
        )
        + &event(&json!({"type": "message_stop"}))
}

fn messages(model: &str) -> Request<Full<bytes::Bytes>> {
    let json = json!({"model": model, "max_tokens": 64, "stream": true,
        "messages": [{"role": "user", "content": "hi"}]});
    post("https://api.example/v1/messages", &json.to_string())
}

/// The answer as an SDK puts it together.
fn collected(stream: &str, dialect: Dialect) -> Value {
    let mut decoder = Decoder::new();
    decoder.push(stream.to_owned().into());
    let mut collector = Collector::new(dialect);
    while let Some(event) = decoder.next_event() {
        collector.push(&event.unwrap()).unwrap();
    }
    serde_json::from_slice(&collector.finish().unwrap()).unwrap()
}

const EARLY: &str = "claude-sonnet-4-5";
const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

#[tokio::test(start_paused = true)]
async fn a_message_goes_on_as_one_message_with_one_block() {
    let first = [start("msg_1", EARLY, 9), block(), says("One, two,\n")].concat();
    let ping = event(&json!({"type": "ping"}));
    let second = [
        start("msg_2", EARLY, 14),
        block(),
        ping.clone(),
        says("\nthree."),
        ending(4),
    ]
    .concat();
    let script = script()
        .then(Answer::sse([first.clone(), OVERLOADED.to_owned()]))
        .then(Answer::sse([second]));
    let chain = Chain::of(EARLY).then("claude-opus-4-1");
    let stream = text(
        over(chain)
            .layer(script.clone())
            .oneshot(messages(EARLY))
            .await
            .unwrap(),
    )
    .await;
    assert!(
        stream.starts_with(&first) && stream.contains(&ping),
        "{stream}"
    );
    let message = collected(&stream, Dialect::AnthropicMessages);
    assert_eq!(message["id"], "msg_1");
    assert_eq!(
        message["content"],
        json!([{"type": "text", "text": "One, two,\nthree."}])
    );
    assert_eq!(message["stop_reason"], "end_turn");
    // the last attempt's own, the prompt's too
    assert_eq!(
        (
            &message["usage"]["input_tokens"],
            &message["usage"]["output_tokens"]
        ),
        (&json!(14), &json!(4))
    );
    for once in [
        "message_start\"",
        "content_block_start\"",
        "content_block_stop\"",
        "message_stop\"",
    ] {
        assert_eq!(stream.matches(once).count(), 1, "{once} in {stream}");
    }
    assert_eq!(asked(&script), [EARLY, "claude-opus-4-1"]);
    let sent: Value = serde_json::from_slice(script.seen()[1].body.as_ref().unwrap()).unwrap();
    assert_eq!(
        sent["messages"][1],
        json!({"role": "assistant", "content": "One, two,"})
    );
}

#[tokio::test(start_paused = true)]
async fn a_later_claude_is_not_asked_to_go_on() {
    let stream = [
        start("msg_1", "claude-opus-4-6", 9),
        block(),
        says("One"),
        OVERLOADED.into(),
    ]
    .concat();
    let script = script()
        .then(Answer::sse([stream.clone()]))
        .then(streamed());
    let chain = Chain::of("claude-opus-4-6").then("claude-sonnet-5");
    let got = over(chain)
        .layer(script.clone())
        .oneshot(messages("claude-opus-4-6"))
        .await
        .unwrap();
    assert_eq!(text(got).await, stream);
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_continuation_that_says_nothing_closes_what_is_open() {
    let first = [start("msg_1", EARLY, 9), block(), says("All said.")].concat();
    let nothing = start("msg_2", EARLY, 14)
        + &event(
            &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": 1}}),
        )
        + &event(&json!({"type": "message_stop"}));
    let script = script()
        .then(Answer::sse([first]))
        .then(Answer::sse([nothing]));
    let stream = text(
        over(Chain::of(EARLY))
            .layer(script)
            .oneshot(messages(EARLY))
            .await
            .unwrap(),
    )
    .await;
    let message = collected(&stream, Dialect::AnthropicMessages);
    assert_eq!(message["content"][0]["text"], "All said.");
    assert_eq!(stream.matches("content_block_stop\"").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_thinks_or_uses_a_tool_is_not_gone_on_with() {
    for kind in ["thinking", "tool_use"] {
        let block = event(&json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": kind, "thinking": "", "id": "t", "name": "f", "input": {}}}));
        let delta = event(&json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "Hm", "partial_json": "{"}}));
        let stream = [start("msg_1", EARLY, 9), block, delta, OVERLOADED.into()].concat();
        let script = script()
            .then(Answer::sse([stream.clone()]))
            .then(streamed());
        let chain = Chain::of(EARLY).then("claude-opus-4-1");
        let got = over(chain)
            .layer(script.clone())
            .oneshot(messages(EARLY))
            .await
            .unwrap();
        assert_eq!((text(got).await, script.calls()), (stream, 1), "{kind}");
    }
}

fn gemini(text: &str, more: &str) -> String {
    format!(
        "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":{}}}],\"role\":\"model\"}}{more}}}],\"responseId\":\"ID\",\"modelVersion\":\"m\"}}\r\n\r\n",
        json!(text)
    )
}

#[tokio::test(start_paused = true)]
async fn geminis_turn_goes_on_under_its_first_id() {
    let first = gemini("One two ", "").replace("ID", "r1");
    let last = r#","finishReason":"STOP""#;
    let second = [
        gemini(" three", "").replace("ID", "r2"),
        gemini(" four", last).replace("ID", "r2"),
    ]
    .concat();
    let script = script()
        .then(Answer::sse([first.clone()]))
        .then(Answer::sse([second]));
    let json = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let uri = "https://api.example/v1beta/models/m:streamGenerateContent?alt=sse";
    let mut request = post(uri, &json.to_string());
    request.headers_mut().remove(header::AUTHORIZATION);
    let chain = Chain::of(Target::model("m").prefill(Prefill::LastMessage));
    let stream = text(
        over(chain)
            .layer(script.clone())
            .oneshot(request)
            .await
            .unwrap(),
    )
    .await;
    assert!(
        stream.starts_with(&first) && !stream.contains("r2"),
        "{stream}"
    );
    let texts: Vec<_> = stream
        .split("\"text\":")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap())
        .collect();
    assert_eq!(texts, ["\"One two \"", "\"three\"", "\" four\""]);
    let sent: Value = serde_json::from_slice(script.seen()[1].body.as_ref().unwrap()).unwrap();
    assert_eq!(
        sent["contents"][1],
        json!({"role": "model", "parts": [{"text": "One two"}]})
    );
}

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_goes_away_nothing_goes_on_behind_its_back() {
    let points = drop_everywhere(
        async || {
            let script = Script::new()
                .then(Answer::stream(
                    ScriptedBody::new()
                        .data(start("1", EARLY, 9) + &block() + &says("One"))
                        .wait(SECOND)
                        .error("reset"),
                ))
                .then(Answer::status(500).after(SECOND))
                .then(Answer::stream(
                    ScriptedBody::new()
                        .wait(SECOND)
                        .data(start("2", EARLY, 9) + &block() + &says(" two"))
                        .wait(SECOND)
                        .data(ending(3)),
                ));
            let layer = over(Chain::of(EARLY).then("claude-opus-4-1"));
            let handle = layer.handle();
            (
                (script.clone(), handle),
                layer.layer(script).oneshot(messages(EARLY)),
            )
        },
        async |(script, handle), at| {
            let calls = script.calls();
            assert!(
                !script.seen().iter().any(|call| call.answer.is_alive()),
                "{at:?}"
            );
            tokio::time::advance(SECOND * 300).await;
            assert_eq!(script.calls(), calls, "called again after {at:?}");
            assert_eq!(handle.stats().all_failed, 0);
        },
    )
    .await;
    assert_eq!(points.last().unwrap().point, Point::Ended);
    let frames = points
        .iter()
        .filter(|at| matches!(at.point, Point::Frame(_)))
        .count();
    // what came first, the mark, what goes on, its end
    assert_eq!(frames, 4, "{points:?}");
}
