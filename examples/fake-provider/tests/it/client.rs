//! A client of few words. One connection for each request, closed when the answer is dropped.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use fake_provider::{FakeProvider, Outcome, Received};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";

pub(crate) async fn start() -> FakeProvider {
    FakeProvider::start().await.expect("a free port")
}

/// A chat request whose echo has four words.
pub(crate) fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "one two three"}]})
}

pub(crate) fn streamed(mut body: Value) -> Value {
    body["stream"] = true.into();
    body
}

/// The same for Anthropic.
pub(crate) fn message(model: &str) -> Value {
    let mut body = chat(model);
    body["max_tokens"] = 100.into();
    body
}

fn request(path: &str, fake: &str, body: &Value) -> Request<Full<Bytes>> {
    let method = if body.is_null() { "GET" } else { "POST" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "fake");
    let request = if fake.is_empty() {
        request
    } else {
        request.header("x-fake", fake)
    };
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    request.body(body.into()).expect("a request")
}

/// Sends a request with `x-fake`, where that is not empty. A `null` body makes it a GET.
pub(crate) async fn send(
    server: &FakeProvider,
    path: &str,
    fake: &str,
    body: &Value,
) -> hyper::Result<Response<Incoming>> {
    send_this(server, request(path, fake, body)).await
}

pub(crate) async fn send_this(
    server: &FakeProvider,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    let io = TcpStream::connect(server.addr()).await.expect("it listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// The same over HTTP/2.
pub(crate) async fn send_h2(
    server: &FakeProvider,
    fake: &str,
    body: &Value,
) -> hyper::Result<Response<Incoming>> {
    let mut request = request(CHAT, fake, body);
    *request.uri_mut() = format!("{}{CHAT}", server.url()).parse().expect("a URI");
    request.headers_mut().remove("host");
    let io = TokioIo::new(TcpStream::connect(server.addr()).await.expect("it listens"));
    let executor = TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// An answer, read as far as it goes.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// It ended as HTTP says it should.
    pub(crate) whole: bool,
    pub(crate) frames: Vec<usize>,
}

impl Read {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect(&self.text)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("text"))
    }

    /// The data of each event, parsed; `[DONE]` is a string.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(&self.text)
    }

    /// The text of all deltas of the first choice.
    pub(crate) fn content(&self) -> String {
        content(&self.text)
    }
}

pub(crate) fn events(text: &str) -> Vec<Value> {
    let lines = text
        .split(['\n', '\r'])
        .filter_map(|line| line.strip_prefix("data: "));
    lines
        .map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::from(data)))
        .collect()
}

pub(crate) fn content(text: &str) -> String {
    let all = events(text);
    let of_choice = |event: &Value| {
        let choice = event["choices"]
            .as_array()?
            .iter()
            .find(|choice| choice["index"] == 0)?;
        Some(choice["delta"]["content"].as_str()?.to_owned())
    };
    let texts = all.iter().filter_map(|event| {
        of_choice(event).or_else(|| event["delta"]["text"].as_str().map(str::to_owned))
    });
    texts.collect()
}

pub(crate) async fn read(response: Response<Incoming>) -> Read {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    let mut frames = Vec::new();
    let whole = loop {
        match body.frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => {
                let data = frame.into_data().expect("no trailers");
                frames.push(data.len());
                bytes.extend_from_slice(&data);
            }
        }
    };
    let text = String::from_utf8(bytes).expect("UTF-8");
    Read {
        status: head.status,
        headers: head.headers,
        text,
        whole,
        frames,
    }
}

/// Sends and reads.
pub(crate) async fn ask(server: &FakeProvider, path: &str, fake: &str, body: &Value) -> Read {
    read(send(server, path, fake, body).await.expect("an answer")).await
}

/// Reads until the text is as wanted, and leaves the rest.
pub(crate) async fn read_until(
    response: &mut Response<Incoming>,
    wanted: impl Fn(&str) -> bool,
) -> String {
    let mut text = String::new();
    while !wanted(&text) {
        let frame = response.frame().await.expect("more").expect("no error");
        text.push_str(std::str::from_utf8(&frame.into_data().expect("data")).expect("UTF-8"));
    }
    text
}

/// No test waits for ever: a failure shows in ten seconds.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), event)
        .await
        .expect("it never happened")
}

pub(crate) async fn until_last(server: &FakeProvider, outcome: Outcome) -> Received {
    let is = |log: &[Received]| log.last().is_some_and(|last| last.outcome == outcome);
    soon(server.until(is)).await;
    server.log().pop().expect("an entry")
}
