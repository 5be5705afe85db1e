//! The memory of 10,000 open streams: each through both layers, every clock, the cap and the meter on,
//! some content passed on, and waiting for more, with the beginning of an event held back.
//!
//! `cargo bench -p sse-layer --bench memory`. It reads `/proc/self/statm`, so it runs on Linux.
#![allow(missing_docs, unreachable_pub, dead_code)]

mod common;

use std::{
    convert::Infallible,
    future::{Ready, poll_fn, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use common::{clocks, relay, request, stream};
use http::{Request, Response, header};
use http_body::{Body, Frame};
use llm_exchange::Payload;
use tower::{Layer, Service};

const STREAMS: usize = 10_000;
const PAGE: usize = 4096;

/// Some chunks, and then nothing more for ever.
struct Hangs(std::vec::IntoIter<Bytes>);

impl Body for Hangs {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.next() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None => Poll::Pending,
        }
    }
}

#[derive(Clone)]
struct Provider;

impl Service<Request<Payload>> for Provider {
    type Response = Response<Hangs>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Hangs>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        let (stream, ends) = stream(20);
        let mut chunks: Vec<_> = ends
            .iter()
            .take(10)
            .scan(0, |start, end| {
                Some(Bytes::copy_from_slice(
                    &stream[std::mem::replace(start, *end)..*end],
                ))
            })
            .collect();
        chunks.push(Bytes::from_static(
            b"data: {\"id\":\"chatcmpl-B00000001\",\"obj",
        ));
        let mut response = Response::new(Hangs(chunks.into_iter()));
        let stream = header::HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, stream);
        ready(Ok(response))
    }
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: usize| pages * PAGE)
}

async fn open<S, B>(mut service: S) -> B
where
    S: Service<Request<Payload>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes> + Unpin,
{
    let Ok(response) = service.call(request()).await;
    let mut body = response.into_body();
    // all that is there is read
    poll_fn(|cx| {
        while Pin::new(&mut body).poll_frame(cx).is_ready() {}
        Poll::Ready(())
    })
    .await;
    body
}

/// The bytes of each open stream, and the streams: what is freed would be used again.
async fn each<B>(open: impl AsyncFn() -> B) -> (usize, Vec<B>) {
    let mut streams = Vec::with_capacity(STREAMS);
    let before = resident();
    for _ in 0..STREAMS {
        streams.push(open().await);
    }
    ((resident() - before) / STREAMS, streams)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let (bare, _streams) = each(async || open(Provider).await).await;
        let relay = relay().layer(clocks().layer(Provider));
        let (layers, _streams) = each(async || open(relay.clone()).await).await;
        println!("{STREAMS} open streams: {layers} bytes each, of which {bare} are the scripted upstream's");
    });
}
