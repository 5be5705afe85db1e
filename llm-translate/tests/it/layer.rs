//! The tower layer: a caller of one API in front of another.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, BodyStream, Full};
use llm_exchange::{Call, Dialect, Meter, Payload, Refusal};
use llm_translate::{TranslateLayer, Translation};
use serde_json::{Value, json};
use testkit::{Answer, BoxError, Point, Probe, Script, ScriptedBody, drop_everywhere};
use tower::{Layer, ServiceExt};

use crate::{
    support::{clock, datas, smallest, with},
    transcripts,
};

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
const CHAT: &str = "https://api.example/v1/chat/completions";
const MESSAGES: &str = "https://api.example/v1/messages";

fn post(uri: &str, body: &Value) -> Request<Full<Bytes>> {
    let body = body.to_string();
    Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len())
        .header(header::AUTHORIZATION, "Bearer sk-callers")
        .body(Full::from(body))
        .unwrap()
}

fn chat(fields: Value) -> Request<Full<Bytes>> {
    post(CHAT, &with(smallest(Dialect::OpenAiChat), fields))
}

fn to_anthropic() -> TranslateLayer {
    TranslateLayer::to_anthropic().clock(clock())
}

fn script() -> Script {
    Script::new().collect_bodies()
}

fn message() -> Answer {
    let body = transcripts::bytes("22-anthropic-response.json");
    Answer::json(200, body)
        .header("request-id", "req_22")
        .header("etag", "x")
}

fn stream() -> Answer {
    let body = transcripts::bytes("23-anthropic-stream.sse");
    Answer::sse(body.chunks(100).map(<[u8]>::to_vec).collect::<Vec<_>>())
}

async fn read<B>(response: Response<B>) -> Bytes
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    response.into_body().collect().await.unwrap().to_bytes()
}

async fn json<B>(response: Response<B>) -> Value
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    serde_json::from_slice(&read(response).await).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_openai_is_answered_by_anthropic() {
    let script = script().then(message());
    let layer = to_anthropic()
        .model_for("m", "claude-opus-5-5")
        .model("other");
    let mut request = chat(json!({"service_tier": "auto"}));
    let headers = request.headers_mut();
    headers.insert("accept-encoding", "gzip".parse().unwrap());
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    let seen = &script.seen()[0];
    assert_eq!(seen.uri, MESSAGES);
    assert_eq!(seen.headers["anthropic-version"], "2023-06-01");
    assert_eq!(seen.headers["accept-encoding"], "identity");
    assert_eq!(seen.headers["authorization"], "Bearer sk-callers");
    let body = seen.body.as_ref().unwrap();
    assert_eq!(
        seen.headers["content-length"],
        body.len().to_string().as_str()
    );
    let sent: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(sent["model"], "claude-opus-5-5");

    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-llm-left-out"], "service_tier");
    assert_eq!(response.headers()["request-id"], "req_22");
    assert_eq!(response.headers().get("etag"), None);
    let length: usize = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let body = read(response).await;
    assert_eq!(body.len(), length);
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], "Yellow");
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_anthropic_is_answered_by_openai() {
    let answer = transcripts::bytes("02-openai-chat-response.json");
    let script = script().then(Answer::json(200, answer));
    let mut request = post(MESSAGES, &smallest(Dialect::AnthropicMessages));
    let headers = request.headers_mut();
    headers.insert("anthropic-version", "2026-10-21".parse().unwrap());
    headers.insert("anthropic-beta", "context-1m".parse().unwrap());
    let service = TranslateLayer::to_openai_chat().layer(script.clone());
    let response = service.oneshot(request).await.unwrap();
    let seen = &script.seen()[0];
    assert_eq!(seen.uri, CHAT);
    assert!(
        seen.headers
            .keys()
            .all(|name| !name.as_str().starts_with("anthropic"))
    );
    assert_eq!(response.headers()["x-llm-left-out"], "anthropic-beta");
    assert_eq!(json(response).await["content"][0]["text"], "Yellow");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_translated_as_it_comes() {
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let upstream = transcripts::bytes("23-anthropic-stream.sse");
    let cut = upstream.len() - 60;
    let body = ScriptedBody::new()
        .data(upstream[..cut].to_vec())
        .wait(SECOND)
        .data(upstream[cut..].to_vec());
    let script = script().then(Answer::stream(body).header("content-type", "text/event-stream"));
    let service = to_anthropic().layer(script);
    let response = service.oneshot(chat(asked)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers().get("content-length"), None);
    let mut frames = BodyStream::new(response.into_body());
    let first = frames.next().await.unwrap().unwrap().into_data().unwrap();
    assert!(!datas(&first).contains(&"[DONE]".to_owned()));
    let last = frames.next().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(datas(&last).last().unwrap(), "[DONE]");
    assert!(frames.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_streams_not_is_streamed_all_the_same() {
    let service = to_anthropic().layer(script().then(message()));
    let response = service
        .oneshot(chat(json!({"stream": true})))
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let all = datas(&read(response).await);
    assert_eq!(all.last().unwrap(), "[DONE]");
    assert!(all.iter().any(|data| data.contains("Yellow")));
}

#[tokio::test(start_paused = true)]
async fn an_error_is_the_callers_and_says_when_to_come_back() {
    let answered = transcripts::http("29-anthropic-429-rate-limit.http");
    let mut answer = Answer::json(429, answered.body);
    for (name, value) in &answered.headers {
        if name != "content-length" && name != "content-type" {
            answer = answer.header(name.as_str(), value.to_str().unwrap());
        }
    }
    let service = to_anthropic().layer(script().then(answer));
    let response = service.oneshot(chat(json!({}))).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(
        response.headers()["retry-after"],
        answered.headers["retry-after"]
    );
    let body = json(response).await;
    assert_eq!(body["error"]["type"], "rate_limit_error");
    assert!(body["error"].get("message").is_some());
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_no_json_keeps_its_status() {
    let page = ScriptedBody::new().data("<html>Bad gateway</html>");
    let service = to_anthropic().layer(script().then(Answer::status(503).body(page)));
    let response = service.oneshot(chat(json!({}))).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(json(response).await["error"]["type"], "server_error");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_carried_over_is_refused_and_not_sent() {
    let script = script();
    let service = to_anthropic().layer(script.clone());
    let response = service.oneshot(chat(json!({"seed": 7}))).await.unwrap();
    assert_eq!(script.calls(), 0);
    assert_eq!(response.status(), 400);
    let refusal = Refusal::of(&response).unwrap();
    assert_eq!(
        (refusal.layer(), refusal.code()),
        ("llm-translate", "not_translated")
    );
    let body = json(response).await;
    assert_eq!(body["error"]["message"], "`seed` cannot be carried over");
    assert_eq!(body["error"]["type"], "invalid_request_error");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_call_or_needs_no_translation_passes_byte_for_byte() {
    for (uri, body) in [
        ("https://api.example/v1/embeddings", "{\"input\": \"a\"}"),
        ("https://api.example/v1/files", "\u{0}no json"),
        (MESSAGES, "{\"frobnicate\":  1}"),
    ] {
        let script = script().then(Answer::json(200, "{\"any\":  1}").header("etag", "x"));
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header("anthropic-beta", "b")
            .body(Full::from(body))
            .unwrap();
        let service = to_anthropic().layer(script.clone());
        let response = service.oneshot(request).await.unwrap();
        let seen = &script.seen()[0];
        assert_eq!(seen.uri, uri);
        assert_eq!(seen.headers["anthropic-beta"], "b");
        assert_eq!(seen.body.as_deref(), Some(body.as_bytes()));
        assert_eq!(response.headers()["etag"], "x");
        assert_eq!(read(response).await, "{\"any\":  1}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_from_further_in_is_told_in_the_callers_dialect() {
    // a layer that refuses sees Anthropic's call, and answers so
    let inner = tower::service_fn(async |request: Request<Payload>| {
        let dialect = Call::of(&request).unwrap().dialect();
        let answer = llm_exchange::ErrorAnswer::new(
            http::StatusCode::SERVICE_UNAVAILABLE,
            "breaker_open",
            "no call was sent",
        );
        let response = Refusal::new("breaker-layer", answer)
            .into_response::<ScriptedBody<BoxError>>(Some(dialect));
        Ok::<_, BoxError>(response)
    });
    let service = to_anthropic().layer(inner);
    let response = service.oneshot(chat(json!({}))).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(Refusal::of(&response).unwrap().code(), "breaker_open");
    let body = json(response).await;
    assert_eq!(body["error"]["code"], "breaker_open");
    assert_eq!(body.get("type"), None);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_said_to_be_unreadable() {
    let answer = Answer::json(200, "\u{1f}").header("content-encoding", "gzip");
    let service = to_anthropic().layer(script().then(answer));
    let response = service.oneshot(chat(json!({}))).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(json(response).await["error"]["code"], "compressed_answer");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_broken_for_the_caller_too() {
    for stream in [false, true] {
        let body = ScriptedBody::new().data("{").error("reset");
        let answer = if stream {
            Answer::stream(body).header("content-type", "text/event-stream")
        } else {
            Answer::json(200, "").body(body)
        };
        let service = to_anthropic().layer(script().then(answer));
        let response = service
            .oneshot(chat(json!({"stream": stream})))
            .await
            .unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!(error.to_string(), "reset");
    }
}

#[tokio::test(start_paused = true)]
async fn the_usage_is_the_same_for_a_layer_further_out() {
    for (stream, answer) in [(false, message()), (true, stream())] {
        let asked = json!({"stream": stream, "stream_options": {"include_usage": true}});
        let mut request = Payload::read(chat(asked), 1 << 20).await;
        let call = Call::of(&request).unwrap().clone();
        let translation = Translation::begin(&mut request, Dialect::AnthropicMessages).unwrap();
        let sent = Call::of(&request).unwrap().clone();
        let answer = script().then(answer).oneshot(request).await.unwrap();
        let (inner, answer) = Meter::attach(answer, &sent);
        let (outer, answer) = Meter::attach(translation.answer(answer).await, &call);
        read(answer).await;
        assert_eq!(outer.dialect(), Dialect::OpenAiChat);
        assert!(outer.is_complete() && inner.is_complete());
        let (outer, inner) = (outer.usage().unwrap(), inner.usage().unwrap());
        assert_eq!(
            (outer.input(), outer.cached, outer.output(), outer.reasoning),
            (inner.input(), inner.cached, inner.output(), inner.reasoning)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_polled_ready_is_the_one_called() {
    let inner = Probe::new(script().then(message())).pending(2);
    let handle = inner.handle();
    to_anthropic()
        .layer(inner)
        .oneshot(chat(json!({})))
        .await
        .unwrap();
    assert_eq!(
        (handle.grants(), handle.calls(), handle.unused()),
        (1, 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_goes_away_the_upstream_is_dropped_at_once() {
    for streamed in [false, true] {
        let points = drop_everywhere(
            async || {
                let bytes = transcripts::bytes(match streamed {
                    true => "23-anthropic-stream.sse",
                    false => "22-anthropic-response.json",
                });
                let middle = bytes.len() / 2;
                let body = ScriptedBody::new()
                    .wait(SECOND)
                    .data(bytes[..middle].to_vec())
                    .wait(SECOND)
                    .data(bytes[middle..].to_vec());
                let kind = if streamed {
                    "text/event-stream"
                } else {
                    "application/json"
                };
                let script = Script::new().then(Answer::stream(body).header("content-type", kind));
                let request = chat(json!({"stream": streamed}));
                (
                    script.clone(),
                    to_anthropic().layer(script).oneshot(request),
                )
            },
            async |script, at| {
                let alive = script.seen().iter().any(|call| call.answer.is_alive());
                assert!(!alive, "{at:?}");
            },
        )
        .await;
        assert_eq!(points.last().unwrap().point, Point::Ended);
        assert!(points.len() > 3, "{points:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_beginning_that_the_caller_wrote_is_carried_over_where_the_app_says_so() {
    let ends_with = |last: Value| {
        let user = json!({"role": "user", "content": "hi"});
        chat(json!({"messages": [user, last]}))
    };
    let run = async |layer: TranslateLayer, last: Value| {
        let script = script().then(message());
        let response = layer.layer(script.clone()).oneshot(ends_with(last));
        let status = response.await.unwrap().status();
        let seen = script.seen();
        let sent = seen.first().map(|call| call.body.clone().unwrap());
        (
            status.as_u16(),
            sent.map(|sent| serde_json::from_slice::<Value>(&sent).unwrap()),
        )
    };
    let said = || json!({"role": "assistant", "content": "Hello, \n"});
    assert_eq!(run(to_anthropic(), said()).await, (400, None));
    let carries = || to_anthropic().carry_last_turn(true);
    let (_, sent) = run(carries(), said()).await;
    let last = json!({"role": "assistant", "content": "Hello,"});
    assert_eq!(sent.unwrap()["messages"][1], last);
    let (_, sent) = run(TranslateLayer::to_gemini().carry_last_turn(true), said()).await;
    let last = json!({"role": "model", "parts": [{"text": "Hello, \n"}]});
    assert_eq!(sent.unwrap()["contents"][1], last);
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    for last in [
        json!({"role": "assistant", "content": " \n"}),
        json!({"role": "assistant", "content": "I call", "tool_calls": [call]}),
    ] {
        assert_eq!(run(carries(), last).await, (400, None));
    }
}
