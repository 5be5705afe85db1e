//! A stream as a server's answer.

use std::{convert::Infallible, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::{json, value::RawValue};
use sse_layer::{
    client::{events, lines},
    server::{EventBody, LineBody},
    sse::{Encoder, Event},
};
use tokio::time::sleep;

use crate::common::*;

fn of(events: Vec<Event>) -> impl Stream<Item = Result<Event, Infallible>> + Unpin {
    stream::iter(events.into_iter().map(Ok))
}

#[tokio::test]
async fn events_are_written_as_they_come() {
    let all = vec![
        Event::named("ping", "{}"),
        Encoder::new().comment("hi").event(),
        Event::new("two\nlines"),
    ];
    let response = EventBody::new(of(all)).into_response();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(
        text(response).await,
        "event: ping\ndata: {}\n\n: hi\n\ndata: two\ndata: lines\n\n"
    );
}

#[tokio::test]
async fn what_was_read_as_events_can_be_written_as_events_byte_for_byte() {
    let bytes = ": hi\r\n\r\nid: 7\rdata:x\r\rdata: y\n\n";
    let response = http::Response::builder()
        .header("content-type", "text/event-stream")
        .body(ScriptedBody::chunks(
            bytes.as_bytes().chunks(5).map(<[u8]>::to_vec),
        ))
        .unwrap();
    let body = EventBody::new(events(response).unwrap());
    let all = body.collect().await.unwrap().to_bytes();
    assert_eq!(all, bytes);
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_comments() {
    let slow = of(vec![Event::new("a"), Event::new("b")]).then(async |event| {
        sleep(Duration::from_secs(40)).await;
        event
    });
    let response = EventBody::new(Box::pin(slow))
        .keep_alive(Duration::from_secs(15))
        .into_response();
    let quiet = ": keep-alive\n\n".repeat(2);
    assert_eq!(
        text(response).await,
        format!("{quiet}data: a\n\n{quiet}data: b\n\n")
    );
}

#[tokio::test]
async fn an_error_breaks_the_body_and_ends_it() {
    let failing = stream::iter([Ok(Event::new("a")), Err("broken"), Ok(Event::new("b"))]);
    let mut body = EventBody::new(failing);
    assert_eq!(data(&mut body).await, "data: a\n\n");
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().to_string(),
        "broken"
    );
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test]
async fn values_are_written_a_line_each() {
    let pretty = RawValue::from_string("{\n\"a\": \"x\\n\"\r\n}".to_owned()).unwrap();
    let values = [json!({"a": "x\ny"}), serde_json::to_value(1).unwrap()];
    let values = stream::iter(values.map(Ok::<_, Infallible>));
    let response = LineBody::new(values).into_response();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(text(response).await, "{\"a\":\"x\\ny\"}\n1\n");
    // a raw value keeps its own spelling, but for its line ends
    let body = LineBody::new(stream::iter([Ok::<_, Infallible>(pretty)]));
    let all: Vec<_> = lines(body).map(Result::unwrap).collect().await;
    assert_eq!(all, ["{ \"a\": \"x\\n\"  }"]);
}

#[tokio::test]
async fn a_value_that_json_cannot_hold_breaks_the_body() {
    let maps = stream::iter([Ok::<_, Infallible>(std::collections::HashMap::from([(
        (1, 2),
        3,
    )]))]);
    let mut body = LineBody::new(maps);
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
}
