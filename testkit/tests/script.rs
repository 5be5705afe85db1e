//! The scripted upstream answers in order, and remembers.

use std::{convert::Infallible, future::poll_fn, pin::pin, task::Poll, time::Duration};

use http::Request;
use http_body_util::BodyExt as _;
use testkit::{Answer, BoxError, Script, ScriptedBody};
use tokio::time::Instant;
use tower_service::Service as _;

fn post(body: &'static str) -> Request<String> {
    Request::post("https://api.example/v1/messages")
        .body(body.to_owned())
        .expect("a request")
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_their_order_and_after_their_delay() {
    let mut script = Script::new()
        .then(Answer::json(429, "{}").header("retry-after", "2"))
        .then(Answer::error("connection refused").after(Duration::from_secs(1)))
        .then(Answer::sse(["data: a\n\n", "data: b\n\n"]).after(Duration::from_secs(3)));
    let start = Instant::now();

    let first = script.call(post("")).await.unwrap();
    assert_eq!(
        (first.status().as_u16(), &first.headers()["retry-after"]),
        (429, &"2".parse().unwrap())
    );
    assert_eq!(first.headers()["content-length"], "2");
    assert_eq!(
        script.call(post("")).await.unwrap_err().to_string(),
        "connection refused"
    );
    let third = script.call(post("")).await.unwrap();
    assert_eq!(third.headers()["content-type"], "text/event-stream");
    assert_eq!(
        third.into_body().collect().await.unwrap().to_bytes(),
        "data: a\n\ndata: b\n\n"
    );
    assert_eq!(start.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn it_remembers_what_it_was_asked_and_when() {
    let mut script = Script::new()
        .collect_bodies()
        .then_always(|| Answer::status(200));
    let start = Instant::now();
    script.call(post("one")).await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    script.call(post("two")).await.unwrap();

    let seen = script.seen();
    assert_eq!(seen[0].uri.path(), "/v1/messages");
    assert_eq!(seen[0].method, "POST");
    assert_eq!(seen[0].body.as_deref(), Some(b"one".as_slice()));
    assert_eq!(seen[1].body.as_deref(), Some(b"two".as_slice()));
    assert_eq!(seen[1].at - start, Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_before_the_answer_and_a_broken_one_is_not_kept() {
    let mut script = Script::new()
        .collect_bodies()
        .then_always(|| Answer::status(200));
    let slow = ScriptedBody::new()
        .data("a")
        .wait(Duration::from_secs(9))
        .data("b");
    let start = Instant::now();
    script.call(Request::new(slow)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(9));
    script
        .call(Request::new(ScriptedBody::new().data("a").error("gone")))
        .await
        .unwrap();

    let seen = script.seen();
    assert_eq!(seen[0].body.as_deref(), Some(b"ab".as_slice()));
    assert_eq!(seen[1].body, None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_collected_is_held_until_the_answer() {
    let mut script = Script::new().then(Answer::status(200).after(Duration::from_secs(1)));
    let body = ScriptedBody::new().data("a");
    let upload = body.watch();
    let mut call = pin!(script.call(Request::new(body)));
    assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
    assert!(upload.is_alive());
    call.await.unwrap();
    assert!(upload.was_cut());
    assert_eq!(upload.frames(), 0);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "call number 2 (POST /v1/messages), but the script has only 1 answers")]
async fn a_call_beyond_the_script_panics() {
    let mut script = Script::new().then(Answer::status(200));
    let _ = script.call(post("")).await;
    let _ = script.call(post("")).await;
}

#[tokio::test(start_paused = true)]
async fn it_can_go_on_for_ever() {
    let mut script = Script::new()
        .then(Answer::status(500))
        .then_always(|| Answer::error("still down"));
    assert_eq!(script.call(post("")).await.unwrap().status(), 500);
    for _ in 0..3 {
        script.call(post("")).await.unwrap_err();
    }
    assert_eq!(script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_hangs_ends_when_it_is_dropped() {
    let mut script = Script::new().then(Answer::hang());
    let call = script.call(post(""));
    let answer = script.seen()[0].answer.clone();
    assert!(answer.is_alive());
    assert!(
        tokio::time::timeout(Duration::from_secs(3600), call)
            .await
            .is_err()
    );
    assert!(answer.was_cut());
}

#[tokio::test(start_paused = true)]
async fn the_release_of_an_answer_has_a_time() {
    let mut script = Script::new()
        .then(Answer::json(503, "{}"))
        .then(Answer::status(200));
    let failed = script.call(post("")).await.unwrap();

    // What a retry must not do: hold the failed answer over its pause.
    tokio::time::advance(Duration::from_secs(2)).await;
    drop(failed);
    script.call(post("")).await.unwrap();

    let seen = script.seen();
    let released = seen[0].answer.dropped_at().unwrap();
    assert_eq!(
        released - seen[0].at,
        Duration::from_secs(2),
        "held over the pause"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_failed_as_scripted_is_not_cut() {
    let mut script = Script::new().then(Answer::error("refused"));
    script.call(post("")).await.unwrap_err();
    let answer = &script.seen()[0].answer;
    assert!(answer.has_ended() && !answer.is_alive() && !answer.was_cut());
}

#[tokio::test(start_paused = true)]
async fn it_takes_other_error_types() {
    let mut never = Script::<Infallible>::default().then(Answer::status(204));
    let Ok(response) = never.call(post("")).await;
    let _: Result<_, BoxError> = response.into_body().collect().await;

    let broken = ScriptedBody::default().error(std::io::ErrorKind::ConnectionReset);
    let mut io = Script::<std::io::Error, std::io::Error>::default().then(Answer::stream(broken));
    let body = io.call(post("")).await.unwrap().into_body();
    let error: std::io::Error = body.collect().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn it_fits_whatever_a_layer_asks_of_its_inner_service() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Script>();
    check::<testkit::Calling<String>>();
    check::<testkit::Probe<Script, BoxError>>();
}
