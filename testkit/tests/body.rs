//! The scripted body does what is written, and says what has become of it.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderMap, HeaderValue};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use testkit::{BoxError, ScriptedBody, Watch};
use tokio::time::Instant;

fn poll(body: &mut ScriptedBody) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, BoxError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn frames_come_one_by_one_with_their_pauses() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut body = ScriptedBody::new()
        .data("a")
        .wait(Duration::from_secs(5))
        .data("b")
        .trailers(trailers);
    let start = Instant::now();

    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "a"
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
    tokio::time::advance(Duration::from_secs(60)).await; // a reader that pauses
    assert!(
        poll(&mut body).is_pending(),
        "the pause starts when the reader comes to it"
    );
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "b"
    );
    assert_eq!(start.elapsed(), Duration::from_secs(65));
    let trailers = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_after_an_error() {
    let mut body = ScriptedBody::new().error("reset").data("never");
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().to_string(),
        "reset"
    );
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_hangs_hangs_for_ever() {
    let body = ScriptedBody::new().data("a").hang().data("never");
    let day = Duration::from_secs(24 * 3600);
    assert!(tokio::time::timeout(day, body.collect()).await.is_err());
}

#[test]
fn by_default_neither_its_size_nor_its_end_shows() {
    let mut body = ScriptedBody::new().data("abc");
    assert_eq!(body.size_hint().exact(), None);
    assert!(poll(&mut body).is_ready());
    assert!(!body.is_end_stream());
    assert!(poll(&mut body).is_ready());
    assert!(body.is_end_stream());
}

#[test]
fn a_sized_body_counts_down_and_an_eager_end_shows_at_the_last_frame() {
    let mut body = ScriptedBody::chunks(["abc", "de"]).sized().eager_end();
    let watch = body.watch();
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(poll(&mut body).is_ready());
    assert_eq!(
        (body.size_hint().exact(), body.is_end_stream()),
        (Some(2), false)
    );
    assert!(!watch.has_ended());
    assert!(poll(&mut body).is_ready());
    assert_eq!(
        (body.size_hint().exact(), body.is_end_stream()),
        (Some(0), true)
    );
    drop(body);
    assert!(
        watch.has_ended() && !watch.was_cut(),
        "dropped then, it is complete"
    );
}

#[test]
#[should_panic(expected = "polled again after its end")]
fn reading_past_the_end_can_be_caught() {
    let mut body = ScriptedBody::new().panic_past_end();
    assert!(poll(&mut body).is_ready());
    let _ = poll(&mut body);
}

#[tokio::test(start_paused = true)]
async fn the_watch_knows_alive_ended_and_cut() {
    let facts = |watch: &Watch| (watch.is_alive(), watch.has_ended(), watch.was_cut());
    let mut body = ScriptedBody::chunks(["a", "b"]);
    let cut = body.watch();
    assert!(poll(&mut body).is_ready());
    assert_eq!((facts(&cut), cut.frames()), ((true, false, false), 1));

    tokio::time::advance(Duration::from_secs(3)).await;
    let now = Instant::now();
    drop(body);
    assert_eq!(
        (facts(&cut), cut.dropped_at()),
        ((false, false, true), Some(now))
    );

    let body = ScriptedBody::chunks(["a", "b"]);
    let read = body.watch();
    body.collect().await.unwrap();
    assert_eq!((facts(&read), read.frames()), ((false, true, false), 2));
}

#[test]
fn it_fits_whatever_a_layer_asks_of_a_body() {
    fn check<T: Unpin + Send + Sync + 'static>() {}
    check::<ScriptedBody>();
    check::<ScriptedBody<std::io::Error>>();
}
