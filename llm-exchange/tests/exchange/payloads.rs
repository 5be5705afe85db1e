//! Bodies that can be sent again, and those that cannot.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llm_exchange::{Attempts, Call, InPlace, Payload, Unreadable};
use testkit::{BoxError, ScriptedBody};

const BODY: &str = r#"{"model":"a","messages":[]}"#;

fn chat<B>(body: B) -> Request<B> {
    Request::post("/v1/chat/completions").body(body).unwrap()
}

fn scripted() -> ScriptedBody {
    ScriptedBody::<BoxError>::new()
}

#[tokio::test]
async fn a_whole_payload_can_be_sent_again_without_a_copy() {
    let bytes = Bytes::from_static(BODY.as_bytes());
    let request = Payload::read(chat(Full::new(bytes.clone())), 1 << 20).await;
    let payload = request.into_body();
    assert_eq!(payload.size_hint().exact(), Some(BODY.len() as u64));
    for _ in 0..3 {
        let copy = payload.try_clone().unwrap();
        let sent = copy.collect().await.unwrap().to_bytes();
        assert_eq!(sent.as_ptr(), bytes.as_ptr(), "not copied");
        assert_eq!(sent, BODY);
    }
}

#[tokio::test]
async fn what_is_no_llm_call_streams_through_unread() {
    let endless = scripted().data("a").hang();
    let request = Request::post("/v1/realtime").body(endless).unwrap();
    // would never come back if the body were read
    let request = Payload::read(request, 1 << 20).await;
    assert!(Call::of(&request).is_none());
    let mut payload = request.into_body();
    assert!(!payload.is_replayable() && payload.try_clone().is_none());
    assert_eq!(
        payload.frame().await.unwrap().unwrap().into_data().unwrap(),
        "a"
    );
}

#[tokio::test]
async fn another_content_type_is_not_read() {
    for (content_type, reads) in [
        ("application/json", true),
        ("Application/JSON;charset=utf-8", true),
        ("application/vnd.api+json", true),
        ("application/x-www-form-urlencoded", false),
        ("multipart/form-data; boundary=x", false),
    ] {
        let mut request = chat(Full::from(BODY));
        request
            .headers_mut()
            .insert("content-type", content_type.parse().unwrap());
        let request = Payload::read(request, 1 << 20).await;
        assert_eq!(Call::of(&request).is_some(), reads, "{content_type}");
        assert_eq!(
            request.into_body().collect().await.unwrap().to_bytes(),
            BODY
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_streams_through_whole_whether_its_length_is_known_or_not() {
    let pieces = || BODY.as_bytes().chunks(5).map(<[u8]>::to_vec);
    for body in [
        ScriptedBody::<BoxError>::chunks(pieces()).sized(),
        ScriptedBody::chunks(pieces()),
    ] {
        let request = Payload::read(chat(body), 12).await;
        assert_eq!(
            Call::of(&request).unwrap().unreadable(),
            Some(Unreadable::TooLarge)
        );
        let payload = request.into_body();
        assert!(payload.try_clone().is_none());
        assert_eq!(payload.collect().await.unwrap().to_bytes(), BODY);
    }
    let request = Payload::read(chat(Full::from(BODY)), BODY.len()).await;
    assert_eq!(Call::of(&request).unwrap().unreadable(), None);
}

#[tokio::test]
async fn a_broken_upload_is_replayed_with_its_error_and_remembered() {
    let request = Payload::read(
        chat(scripted().data("{\"mo").data("del").error("reset")),
        99,
    )
    .await;
    assert_eq!(
        Call::of(&request).unwrap().unreadable(),
        Some(Unreadable::Broken)
    );
    let mut payload = request.into_body();
    assert!(payload.upload_broke() && payload.try_clone().is_none() && !payload.is_end_stream());
    assert_eq!(
        payload.frame().await.unwrap().unwrap().into_data().unwrap(),
        "{\"model"
    );
    assert_eq!(
        payload.frame().await.unwrap().unwrap_err().to_string(),
        "reset"
    );
    assert!(payload.frame().await.is_none());
}

#[tokio::test]
async fn trailers_are_sent_too_each_time() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "1".parse().unwrap());
    let request = Payload::read(chat(scripted().data(BODY).trailers(trailers.clone())), 99).await;
    for _ in 0..2 {
        let copy = request.body().try_clone().unwrap();
        assert_eq!(copy.collect().await.unwrap().trailers(), Some(&trailers));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_waited_for() {
    let slow = BODY.bytes().fold(scripted(), |body, byte| {
        body.data(vec![byte]).wait(Duration::from_secs(1))
    });
    let request = Payload::read(chat(slow), 99).await;
    assert_eq!(Call::of(&request).unwrap().model(), Some("a"));
}

#[tokio::test]
async fn a_payload_is_read_once_and_not_wrapped_twice() {
    let request = Payload::read(chat(Full::from(BODY)), 99).await;
    let call = std::sync::Arc::clone(Call::of(&request).unwrap());
    let again = Payload::read(request, 1).await;
    assert!(
        std::sync::Arc::ptr_eq(&call, Call::of(&again).unwrap()),
        "the same facts"
    );
    assert!(Payload::new(again.into_body()).is_replayable());
}

#[tokio::test]
async fn a_request_that_was_read_is_seen_in_its_place_and_only_for_what_it_still_is() {
    let mut unread = Some(chat(Full::<Bytes>::from(BODY)));
    assert!(Payload::already_read(&mut unread).is_none());
    let unread = unread.expect("it was left in its place");

    let mut read = Some(Payload::read(unread, 1 << 20).await);
    let place = Payload::already_read(&mut read).unwrap();
    assert_eq!(place.call().model(), Some("a"));
    *read.as_mut().unwrap().uri_mut() = "/v1/files".parse().unwrap();
    assert!(Payload::already_read(&mut read).is_none(), "another path");

    let mut again = Some(Payload::read(chat(Full::<Bytes>::from(BODY)), 1 << 20).await);
    let taken = InPlace::of(&mut again).unwrap().take();
    assert_eq!(taken.into_body().whole().unwrap(), BODY);
    assert!(again.is_none() && InPlace::of(&mut again).is_none());
}

#[tokio::test]
async fn attempts_of_the_app_become_the_calls() {
    let attempts = Attempts::default();
    let mut request = chat(Full::from(BODY));
    request.extensions_mut().insert(attempts.clone());
    let request = Payload::read(request, 99).await;
    attempts.again().unwrap();
    assert_eq!(Call::of(&request).unwrap().attempts().count(), 2);
}

#[tokio::test]
async fn an_empty_body_is_an_empty_payload() {
    let payload = Payload::new(String::new());
    assert!(payload.is_end_stream() && payload.is_replayable());
    assert_eq!(payload.size_hint().exact(), Some(0));
}
