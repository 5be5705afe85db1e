//! An OpenAI stream of events of about 280 bytes, and who reads it.

use std::{
    convert::Infallible,
    fmt::Write as _,
    future::{Ready, ready},
    hint::black_box,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
    vec,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use llm_exchange::Payload;
use sse_core::{SseDecoder, SseEvent};
use sse_layer::{SseLayer, StreamTimeoutLayer};
use tower::{Layer, Service};

/// The events of a stream, as one provider writes them: alike but for their text.
pub fn stream(events: usize) -> (Bytes, Vec<usize>) {
    let mut text = String::new();
    let mut ends = Vec::new();
    for i in 0..events {
        write!(
            text,
            "data: {{\"id\":\"chatcmpl-B00000001\",\"object\":\"chat.completion.chunk\",\
             \"created\":1764000000,\"model\":\"gpt-6-sol-2026-09-22\",\
             \"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{i}\"}},\
             \"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
        )
        .expect("a String takes everything");
        ends.push(text.len());
    }
    // so that the stream is whole
    let finish = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    write!(text, "{finish}\n\ndata: [DONE]\n\n").expect("a String takes everything");
    ends.push(text.len());
    (Bytes::from(text), ends)
}

/// Each chunk is its own allocation.
pub fn cut(stream: &Bytes, ends: impl IntoIterator<Item = usize>) -> Vec<Bytes> {
    let mut start = 0;
    let mut chunks = Vec::new();
    for end in ends {
        chunks.push(Bytes::copy_from_slice(&stream[start..end]));
        start = end;
    }
    chunks
}

pub fn every(bytes: usize, stream: &Bytes) -> Vec<Bytes> {
    cut(
        stream,
        (bytes..stream.len()).step_by(bytes).chain([stream.len()]),
    )
}

/// Every chunk is there at once.
pub struct Chunks(vec::IntoIter<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// Answers once, with these chunks.
#[derive(Clone)]
pub struct Provider(Arc<Mutex<Vec<Bytes>>>);

impl Service<Request<Payload>> for Provider {
    type Response = Response<Chunks>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Chunks>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        let chunks = std::mem::take(&mut *self.0.lock().expect("nobody panicked"));
        let mut response = Response::new(Chunks(chunks.into_iter()));
        let stream = header::HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, stream);
        ready(Ok(response))
    }
}

pub fn request() -> Request<Payload> {
    let request = Request::post("https://api.example.com/v1/chat/completions")
        .body(Full::from(r#"{"model":"m","messages":[],"stream":true}"#))
        .expect("a request");
    Payload::read(request, 1 << 20)
        .now_or_never()
        .expect("all is here")
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn clocks() -> StreamTimeoutLayer {
    StreamTimeoutLayer::new()
        .headers(seconds(30))
        .first_event(seconds(40))
        .first_content(seconds(60))
        .silence(seconds(60))
        .idle(seconds(120))
        .total(seconds(600))
        .min_tokens(1, seconds(60))
        .max_repeats(100)
}

pub fn relay() -> SseLayer {
    SseLayer::new()
        .max_output_tokens(10_000_000)
        .keep_alive(seconds(15))
}

/// The bytes that come through both layers, every clock, the cap and the meter on.
pub fn through_the_layers(chunks: Vec<Bytes>) -> usize {
    let provider = Provider(Arc::new(Mutex::new(chunks)));
    read(relay().layer(clocks().layer(provider)))
}

/// The bytes that come without a layer.
pub fn bare(chunks: Vec<Bytes>) -> usize {
    read(Provider(Arc::new(Mutex::new(chunks))))
}

fn read<S, B>(mut service: S) -> usize
where
    S: Service<Request<Payload>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes> + Unpin,
{
    let all = async {
        let Ok(response) = service.call(request()).await;
        count(response.into_body()).await
    };
    all.now_or_never().expect("all is here")
}

pub async fn count<B: Body<Data = Bytes> + Unpin>(mut body: B) -> usize {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += black_box(frame.data_ref()).map_or(0, Bytes::len);
    }
    bytes
}

/// What `sse-core` needs merely to decode.
pub fn decoded_by_sse_core(chunks: Vec<Bytes>) -> usize {
    let mut decoder = SseDecoder::new();
    let mut events = 0;
    for mut chunk in chunks {
        while let Some(event) = decoder.next(&mut chunk) {
            if let Ok(SseEvent::Message(message)) = event {
                black_box(&*message.event);
                black_box(message.data.as_bytes());
                events += 1;
            }
        }
    }
    events
}
