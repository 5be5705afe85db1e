//! What the tests of this crate share: calls, events, and readers of answers.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::json;

pub(crate) use testkit::{Answer, BoxError, Script, ScriptedBody};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
pub(crate) const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";
pub(crate) const COMMENT: &str = ": PROCESSING\n\n";

pub(crate) const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"c\",\"content\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n";

/// A chunk with this content. A word with a space before it is a token.
pub(crate) fn say(text: &str) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}}],
    });
    format!("data: {chunk}\n\n")
}

/// Anthropic's event with this content, without its block's start.
pub(crate) fn tell(text: &str) -> String {
    let delta = json!({
        "type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": text},
    });
    format!("event: content_block_delta\ndata: {delta}\n\n")
}

pub(crate) fn openai(stream: bool) -> Request<Full<Bytes>> {
    let body = json!({"model": "gpt-6-sol", "messages": [], "stream": stream});
    post("https://api.example/v1/chat/completions", &body.to_string())
}

pub(crate) fn anthropic() -> Request<Full<Bytes>> {
    let body =
        json!({"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": [], "stream": true});
    post("https://api.example/v1/messages", &body.to_string())
}

pub(crate) fn grpc() -> Request<Full<Bytes>> {
    let mut request = post(
        "https://api.example/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent",
        "\0\0\0\0\0",
    );
    let grpc = header::HeaderValue::from_static("application/grpc+proto");
    request.headers_mut().insert(header::CONTENT_TYPE, grpc);
    request
}

pub(crate) fn post(uri: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// An unstreamed answer whose body begins and hangs.
pub(crate) fn half() -> Answer {
    let body = ScriptedBody::new().data("{\"id\":").hang();
    Answer::status(200)
        .header("content-type", "application/json")
        .body(body)
}

pub(crate) async fn bytes<B>(response: Response<B>) -> Vec<u8>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    bytes.to_vec()
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    String::from_utf8(bytes(response).await).unwrap()
}

/// The next data of a body.
pub(crate) async fn data<B>(body: &mut B) -> String
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Debug,
{
    let frame = body.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

/// A whole OpenAI stream of these words, as a list of events.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    let words = words.iter().map(|word| say(word));
    std::iter::once(ROLE.to_owned())
        .chain(words)
        .chain([STOP.to_owned(), DONE.to_owned()])
        .collect()
}

/// A whole Anthropic stream of these words, as a list of events.
pub(crate) fn message(words: &[&str]) -> Vec<String> {
    let event = |data: serde_json::Value| {
        format!(
            "event: {}\ndata: {data}\n\n",
            data["type"].as_str().unwrap_or_default()
        )
    };
    let block = json!({"type": "text", "text": ""});
    let start = event(json!({"type": "content_block_start", "index": 0, "content_block": block}));
    let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
    let usage = json!({"output_tokens": words.len()});
    [START.to_owned(), start]
        .into_iter()
        .chain(words.iter().map(|word| tell(word)))
        .chain([
            event(json!({"type": "content_block_stop", "index": 0})),
            event(json!({"type": "message_delta", "delta": delta, "usage": usage})),
            event(json!({"type": "message_stop"})),
        ])
        .collect()
}

/// The answer that a stream amounts to.
pub(crate) fn collected(dialect: llm_exchange::Dialect, stream: &str) -> serde_json::Value {
    let mut decoder = llm_exchange::sse::Decoder::new();
    decoder.push(Bytes::from(stream.to_owned()));
    let mut collector = llm_exchange::stream::Collector::new(dialect);
    while let Some(event) = decoder.next_event() {
        collector.push(&event.unwrap()).unwrap();
    }
    assert!(!decoder.finish().is_truncated());
    serde_json::from_slice(&collector.finish().unwrap()).unwrap()
}
