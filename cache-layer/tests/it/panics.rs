//! What an app's code does, wrong or strange, is that call's, and holds up nobody else.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use cache_layer::{CacheBody, CacheLayer};
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::Full;
use llm_exchange::Payload;
use serde_json::json;
use tower::{Layer, Service, ServiceExt};

use crate::{common::*, embedder::uncached};

/// A service of which one clone, counted from when it is set, panics.
struct Fragile(Arc<AtomicI32>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(self.0.fetch_sub(1, SeqCst) != 1, "it can't be cloned now");
        Self(Arc::clone(&self.0))
    }
}

impl Service<Request<Payload>> for Fragile {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let answer = match request.uri().path() {
            "/v1/embeddings" => {
                let body = request.body().whole().unwrap();
                uncached(&serde_json::from_slice(body).unwrap()).to_string()
            }
            _ => ANSWER.to_owned(),
        };
        let mut response = Response::new(Full::from(answer));
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        ready(Ok(response))
    }
}

fn embed(texts: &[&str]) -> Request<Full<Bytes>> {
    let body = json!({"model": "text-embedding-3-small", "input": texts});
    let mut request = post(&body.to_string());
    *request.uri_mut() = "https://api.example/v1/embeddings".parse().unwrap();
    request
}

/// Whether the calls of a layer go on after one whose clone of the service panicked, the `which`th.
fn goes_on_after(which: i32, request: fn() -> Request<Full<Bytes>>) -> bool {
    let (tell, told) = mpsc::channel();
    // with a thread of its own: a lock that is held for good would hold it too
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let clones = Arc::new(AtomicI32::new(0));
        let layer = CacheLayer::new();
        let handle = layer.handle();
        let service = layer.layer(Fragile(Arc::clone(&clones)));
        clones.store(which, SeqCst);
        let (first, again) = (service.clone(), service);
        let panicked = runtime.block_on(async {
            tokio::spawn(async move { first.oneshot(request()).await.map(|_| ()) })
                .await
                .is_err()
        });
        clones.store(0, SeqCst);
        let status = runtime.block_on(async {
            let got = read(again.oneshot(request()).await.unwrap()).await;
            got.cache().to_owned()
        });
        tell.send((panicked, status, handle.under_way())).unwrap();
    });
    let (panicked, status, under_way) = told
        .recv_timeout(SECOND * 20)
        .expect("the calls after it wait for good, or panicked themselves");
    assert_eq!((&*status, under_way), ("miss", 0));
    panicked
}

#[test]
fn a_service_that_panics_when_it_is_cloned_leaves_no_lock_behind() {
    for request in [
        (|| post(CHAT)) as fn() -> Request<Full<Bytes>>,
        || post(STREAMED),
        || embed(&["a", "b"]),
    ] {
        // the first one is the test's own
        let panicked = (2..8)
            .filter(|which| goes_on_after(*which, request))
            .count();
        assert!(panicked >= 2, "{panicked}");
    }
}

/// A waker by which another reader of the same answer lives on, as that of a task may be.
struct Holds(#[allow(dead_code, reason = "it is held")] Mutex<CacheBody<ScriptedBody>>);

impl Wake for Holds {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn with_a_waker_another_reader_may_go() {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let body = ScriptedBody::new().data(ROLE).data(HEL).wait(SECOND);
        let script = Script::new().then(Answer::stream(body.data([LO, STOP, DONE].concat())));
        let service = layer().layer(script);
        runtime.block_on(async {
            let mut reader = service.clone().oneshot(post(STREAMED)).await.unwrap();
            let other = service.oneshot(post(STREAMED)).await.unwrap();
            let waker = Waker::from(Arc::new(Holds(Mutex::new(other.into_body()))));
            let mut poll = |waker: &Waker| {
                let mut cx = Context::from_waker(waker);
                Pin::new(reader.body_mut()).poll_frame(&mut cx)
            };
            while poll(&waker).is_ready() {}
            // it is the last one to have it
            drop(waker);
            assert!(poll(Waker::noop()).is_pending());
            let rest = read(reader).await.text;
            tell.send(rest).unwrap();
        });
    });
    let rest = told.recv_timeout(SECOND * 20);
    assert_eq!(rest.expect("it waits for good"), [LO, STOP, DONE].concat());
}
