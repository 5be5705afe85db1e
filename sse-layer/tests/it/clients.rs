//! A streamed answer read by a client.

use futures_util::{StreamExt, TryStreamExt};
use http::Response;
use llm_exchange::{Dialect, Framing};
use serde_json::Value;
use sse_layer::{
    client::{DeltaStream, collect, deltas, events, lines},
    stream::DeltaKind,
};

use crate::common::*;

fn answer(kind: &str, body: ScriptedBody) -> Response<ScriptedBody> {
    Response::builder()
        .header("content-type", kind)
        .body(body)
        .unwrap()
}

fn stream<T: AsRef<str>>(chunks: &[T]) -> Response<ScriptedBody> {
    let chunks = chunks.iter().map(|chunk| chunk.as_ref().to_owned());
    answer(
        "text/event-stream; charset=utf-8",
        ScriptedBody::chunks(chunks),
    )
}

#[tokio::test]
async fn events_come_one_by_one_with_their_comments() {
    let all: Vec<_> = events(stream(&[": hi\n\nevent: a\nda", "ta: 1\n\ndata: 2\n\n"]))
        .unwrap()
        .map(|event| {
            let event = event.unwrap();
            let data = event
                .data()
                .map(|data| String::from_utf8(data.to_vec()).unwrap());
            (event.name().into_owned(), data)
        })
        .collect()
        .await;
    let event = |name: &str, data: Option<&str>| (name.to_owned(), data.map(str::to_owned));
    assert_eq!(
        all,
        [
            event("message", None),
            event("a", Some("1")),
            event("message", Some("2"))
        ]
    );
}

#[tokio::test]
async fn an_end_within_an_event_a_break_and_an_event_too_long_are_errors() {
    let end = |response| async move {
        let mut events = events(response).unwrap().max_event_bytes(20);
        let mut last = None;
        let mut after = 0;
        while let Some(event) = events.next().await {
            match event {
                Ok(_) => after += usize::from(last.is_some()),
                Err(error) => last = Some(error),
            }
        }
        (last.unwrap(), after)
    };
    let (error, _) = end(stream(&["data: 1\n\ndata: 2"])).await;
    assert!(error.is_truncated());
    let body = ScriptedBody::new()
        .data("data: 1\n\n")
        .error("reset")
        .panic_past_end();
    let (error, _) = end(answer("text/event-stream", body)).await;
    assert!(error.is_truncated());
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "reset"
    );
    let long = format!("data: {}\n\n", "x".repeat(30));
    let (error, after) = end(stream(&[&long, "data: 1\n\n"])).await;
    assert!(error.is_too_large());
    assert_eq!(after, 1, "the next event comes as usual");
}

#[tokio::test]
async fn what_is_no_stream_is_given_back() {
    let mut response = answer("application/json", ScriptedBody::new().data("{}"));
    *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
    let error = events(response).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer is no stream that can be read (429 Too Many Requests)"
    );
    let error = deltas(error.into_response(), Dialect::OpenAiChat).unwrap_err();
    assert_eq!(text(error.into_response()).await, "{}");
    let mut response = stream(&["data: 1\n\n"]);
    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
    assert!(events(response).is_err());
}

#[tokio::test]
async fn deltas_come_before_what_ends_the_stream() {
    let half = &words(&["a", "b"])[..3];
    let mut reading = deltas(stream(half), Dialect::OpenAiChat).unwrap();
    let mut said = Vec::new();
    let error = loop {
        match reading.next().await.unwrap() {
            Ok(delta) => said.push(delta.text),
            Err(error) => break error,
        }
    };
    assert_eq!(said, ["a", "b"]);
    assert!(error.is_truncated());
    assert!(reading.next().await.is_none());

    let body = ScriptedBody::new()
        .data(say("a") + &say("b"))
        .error("reset")
        .panic_past_end();
    let reading = deltas(answer("text/event-stream", body), Dialect::OpenAiChat).unwrap();
    let all: Vec<_> = reading.collect().await;
    assert!(all[..2].iter().all(Result::is_ok) && all[2].is_err() && all.len() == 3);
}

#[tokio::test]
async fn deltas_of_a_whole_stream_end_with_its_usage_and_reasons() {
    let mut reading = deltas(stream(&message(&["a", "b"])), Dialect::AnthropicMessages).unwrap();
    let mut said = String::new();
    while let Some(delta) = reading.try_next().await.unwrap() {
        assert_eq!(delta.kind, DeltaKind::Text);
        said.push_str(&delta.text);
    }
    assert_eq!(said, "ab");
    assert_eq!(reading.usage().unwrap().output(), 2);
    assert_eq!(reading.finish_reasons().collect::<Vec<_>>(), ["end_turn"]);
}

#[tokio::test]
async fn lines_and_grpc_have_deltas_too() {
    let body = ScriptedBody::chunks([
        "{\"message\":{\"content\":\"Yel\"},\"done\":false}\n{\"message\":{\"content\":\"low\"},",
        "\"done\":true,\"done_reason\":\"stop\"}",
    ]);
    let response = answer("application/x-ndjson", body);
    let said: Vec<_> = deltas(response, Dialect::Ollama)
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        said.iter().map(|delta| &*delta.text).collect::<String>(),
        "Yellow"
    );

    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", "14".parse().unwrap());
    let body = ScriptedBody::<BoxError>::new().trailers(trailers);
    let reading = DeltaStream::new(body, Framing::Grpc, Dialect::GeminiGrpc);
    let error = reading.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.provider_error().is_some());
}

#[tokio::test]
async fn a_stream_is_collected_to_its_answer_and_other_answers_are_read_as_they_are() {
    let response = collect(stream(&words(&["a", "b"])), Dialect::OpenAiChat)
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(
        response.headers()["content-length"],
        response.body().len().to_string()
    );
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "ab");

    let response = collect(
        self::answer("text/html", ScriptedBody::chunks(["<", ">"])),
        Dialect::OpenAiChat,
    );
    let response = response.await.unwrap();
    assert_eq!(
        (&response.body()[..], &response.headers()["content-type"]),
        (&b"<>"[..], &"text/html".parse().unwrap())
    );

    for response in [
        stream(&words(&["a"; 99])),
        self::answer("text/html", ScriptedBody::chunks(["x"; 999])),
    ] {
        let error = collect(response, Dialect::OpenAiChat)
            .max_bytes(500)
            .await
            .unwrap_err();
        assert!(error.is_too_large());
    }
    let error = collect(stream(&words(&["a"])[..2]), Dialect::OpenAiChat)
        .await
        .unwrap_err();
    assert!(error.is_truncated());
    let broken = self::answer("text/event-stream", ScriptedBody::new().error("reset"));
    assert!(
        collect(broken, Dialect::OpenAiChat)
            .await
            .unwrap_err()
            .is_truncated()
    );
}

#[tokio::test]
async fn lines_are_read_as_they_come() {
    let body = ScriptedBody::<BoxError>::chunks(["{\"a\"", ":1}\r\n\n", "{}\nx", "y"]);
    let all: Vec<_> = lines(body).try_collect().await.unwrap();
    assert_eq!(all, ["{\"a\":1}", "{}", "xy"]);
    let body = ScriptedBody::<BoxError>::new()
        .data("x".repeat(50))
        .data("\n{}\n")
        .error("reset");
    let all: Vec<_> = lines(body).max_line_bytes(10).collect().await;
    assert!(all[0].as_ref().unwrap_err().is_too_large());
    assert_eq!(all[1].as_ref().unwrap(), "{}");
    assert!(all[2].as_ref().unwrap_err().is_truncated() && all.len() == 3);
}

#[tokio::test]
async fn nothing_of_the_answer_is_shown() {
    let events = events(stream(&["data: canary"])).unwrap();
    let deltas = deltas(stream(&[say("canary")]), Dialect::OpenAiChat).unwrap();
    assert!(!format!("{events:?}{deltas:?}").contains("canary"));
}

#[tokio::test]
async fn an_event_may_be_as_large_as_the_answer() {
    let long = "x".repeat(5 << 20);
    let stream = [&say(&long), STOP, DONE].concat();
    let response = http::Response::builder()
        .header("content-type", "text/event-stream")
        .body(ScriptedBody::chunks([stream.clone()]))
        .unwrap();
    let whole = collect(response, Dialect::OpenAiChat).await.unwrap();
    assert!(whole.body().len() > long.len());
    let response = http::Response::builder()
        .header("content-type", "text/event-stream")
        .body(ScriptedBody::chunks([stream]))
        .unwrap();
    let less = collect(response, Dialect::OpenAiChat)
        .max_bytes(1 << 20)
        .await;
    assert!(less.is_err());
}
