//! What an app's code does, wrong or strange, is that call's, and holds up nobody else.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
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
use http_body_util::{BodyExt, Full};
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

/// Where a service panics, once, a second after it was asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Ready,
    Call,
    Future,
    Body,
}

/// A service of which the first call panics.
#[derive(Clone)]
struct Panics {
    at: Where,
    calls: Arc<AtomicI32>,
    script: Script,
    waits: Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>,
}

impl Panics {
    fn new(at: Where) -> Self {
        let half = ScriptedBody::new()
            .data(ROLE)
            .data(HEL)
            .wait(SECOND)
            .data(LO);
        let script = match at {
            Where::Body => Script::new().then(Answer::stream(half)),
            _ => Script::new(),
        };
        Self {
            at,
            calls: Arc::default(),
            script: script.then_always(|| streamed().after(SECOND)),
            waits: Arc::default(),
        }
    }
}

/// A body that panics after so many frames.
struct Fuse(ScriptedBody, Option<u32>);

impl Body for Fuse {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.0).poll_frame(cx));
        if let Some(left) = &mut self.1 {
            assert!(*left > 0, "the body panics");
            *left -= 1;
        }
        Poll::Ready(frame)
    }
}

impl Service<Request<Payload>> for Panics {
    type Response = Response<Fuse>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let first = self.calls.load(SeqCst) == 0;
        if !first || !matches!(self.at, Where::Ready | Where::Call) {
            return Poll::Ready(Ok(()));
        }
        let mut waits = self.waits.lock().unwrap();
        let waits = waits.get_or_insert_with(|| Box::pin(tokio::time::sleep(SECOND)));
        std::task::ready!(waits.as_mut().poll(cx));
        if self.at == Where::Ready {
            self.calls.fetch_add(1, SeqCst);
            panic!("the service panics");
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let first = self.calls.fetch_add(1, SeqCst) == 0;
        assert!(!first || self.at != Where::Call, "the service panics");
        let falls = first && self.at == Where::Future;
        let fuse = (first && self.at == Where::Body).then_some(2);
        let answer = self.script.clone().oneshot(request);
        Box::pin(async move {
            if falls {
                tokio::time::sleep(SECOND).await;
                panic!("the service panics");
            }
            Ok(answer.await?.map(|body| Fuse(body, fuse)))
        })
    }
}

type Read = Pin<Box<dyn Future<Output = Result<(String, String), BoxError>> + Send>>;

fn whole(service: cache_layer::Cache<Panics>) -> Read {
    let answer: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(service.oneshot(post(STREAMED)));
    Box::pin(async move {
        let (head, body) = answer.await?.into_parts();
        let read: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(body.collect());
        let text = read.await?.to_bytes();
        let status = head.headers["x-llm-cache"].to_str()?.to_owned();
        Ok((status, String::from_utf8(text.to_vec())?))
    })
}

#[tokio::test(start_paused = true)]
async fn who_follows_a_call_that_panics_tries_for_itself_and_so_does_the_next() {
    for at in [Where::Ready, Where::Call, Where::Future, Where::Body] {
        let (layer, service) = (layer(), Panics::new(at));
        let stack = layer.layer(service.clone());
        let readers: Vec<_> = (0..5)
            .map(|_| tokio::spawn(tokio::time::timeout(SECOND * 60, whole(stack.clone()))))
            .collect();
        let (mut panicked, mut broken, mut complete) = (0, 0, 0);
        for reader in readers {
            match reader.await.map(|read| read.expect("it waits for good")) {
                Err(_) => panicked += 1,
                Ok(Err(_)) => broken += 1,
                Ok(Ok((_, text))) => complete += u32::from(text == without_usage()),
            }
        }
        // who had a part of the answer can't begin again
        let expected = if at == Where::Body {
            (1, 4, 0)
        } else {
            (1, 0, 4)
        };
        assert_eq!((panicked, broken, complete), expected, "{at:?}");
        assert_eq!(layer.handle().under_way(), 0, "{at:?}");
        let next = tokio::time::timeout(SECOND * 60, whole(stack)).await;
        let (status, text) = next.expect("it joined what is over").unwrap();
        let known = if at == Where::Body { "miss" } else { "hit" };
        assert_eq!((&*status, text), (known, without_usage()), "{at:?}");
        assert_eq!(service.calls.load(SeqCst), 2, "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_began_a_call_that_another_saw_panic_is_told_of_it() {
    let stack = layer().layer(Panics::new(Where::Future));
    let mut first = whole(stack.clone());
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(tokio::spawn(whole(stack)).await.is_err());
    let (status, text) = first.await.unwrap();
    assert_eq!(status, "miss");
    assert!(text.contains("call_panicked"), "{text}");
}
