//! The HTTP-shaped call that is measured: 12 headers, a request of 2 KB, an answer of 1 KB.

use std::{
    convert::Infallible,
    future::{Future, Ready, poll_fn, ready},
    pin::{Pin, pin},
    sync::LazyLock,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Body;
use http_body_util::Full;
use llm_exchange::Payload;
use testkit::shaped;
use tower::Service;

/// Answers at once, streamed or not.
#[derive(Clone)]
pub struct Provider(pub bool);

pub const EVENTS: usize = 100;

static ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
    let text = "Lemons are yellow because their peel holds carotenoids. ".repeat(13);
    Bytes::from(format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-6-sol","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":480,"completion_tokens":130,"total_tokens":610}}}}"#
    ))
});

static STREAM: LazyLock<Bytes> = LazyLock::new(|| {
    let start = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-6-sol","choices":[{"index":0,"delta":"#;
    let event = format!("{start}{{\"content\":\" lemon\"}}}}]}}\n\n");
    let stop = format!("{start}{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n");
    Bytes::from(event.repeat(EVENTS) + &stop)
});

impl<B> Service<Request<B>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let (body, form) = if self.0 {
            (STREAM.clone(), "text/event-stream")
        } else {
            (ANSWER.clone(), "application/json")
        };
        let mut response = Response::new(Full::new(body));
        let headers = response.headers_mut();
        headers.reserve(6);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
        headers.insert("x-request-id", HeaderValue::from_static("req_1"));
        ready(Ok(response))
    }
}

/// The call as the caller makes it.
pub fn full(streams: bool) -> Request<Full<Bytes>> {
    bare(streams).map(Full::new)
}

/// The same with its body as bytes, for services that are not about bodies.
pub fn bare(streams: bool) -> Request<Bytes> {
    static BODIES: LazyLock<[Bytes; 2]> = LazyLock::new(|| {
        [false, true].map(|streams| {
            let prompt = "Why is a lemon yellow, and what is in its peel? ".repeat(39);
            Bytes::from(format!(
                r#"{{"model":"gpt-6-sol","temperature":0,"messages":[{{"role":"system","content":"You are a botanist."}},{{"role":"user","content":"{prompt}"}}],"stream":{streams}}}"#
            ))
        })
    });
    static HEADERS: LazyLock<HeaderMap> = LazyLock::new(shaped::headers);
    static URI: LazyLock<http::Uri> = LazyLock::new(|| {
        "https://api.example.com/v1/chat/completions"
            .parse()
            .unwrap()
    });
    let mut request = Request::new(BODIES[usize::from(streams)].clone());
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = URI.clone();
    *request.headers_mut() = HEADERS.clone();
    request
}

/// A call whose facts are read already, by a layer further out.
pub fn payload(streams: bool) -> Request<Payload> {
    Payload::read(full(streams), Payload::DEFAULT_MAX_BYTES)
        .now_or_never()
        .unwrap()
}

/// The same with a prompt of its own, for an answer that is not known yet.
pub fn another(streams: bool, number: u64) -> Request<Payload> {
    let request = bare(streams).map(|body| {
        let body = String::from_utf8(body.to_vec()).unwrap();
        Full::from(body.replace("a botanist", &format!("botanist {number}")))
    });
    Payload::read(request, Payload::DEFAULT_MAX_BYTES)
        .now_or_never()
        .unwrap()
}

/// Ready, call, and all of the body. Returns how many bytes it had.
pub fn drive<S, Q, B>(service: &mut S, request: Q) -> usize
where
    S: Service<Q, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let call = async {
        poll_fn(|cx| service.poll_ready(cx)).await?;
        let response = service.call(request).await?;
        let mut body = pin!(response.into_body());
        let mut read = 0;
        while let Some(frame) = poll_fn(|cx| Pin::as_mut(&mut body).poll_frame(cx)).await {
            read += frame.unwrap().data_ref().map_or(0, Bytes::len);
        }
        Ok::<_, S::Error>(read)
    };
    now(call).expect("the provider does not fail")
}

fn now<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("the provider answers at once")
}
