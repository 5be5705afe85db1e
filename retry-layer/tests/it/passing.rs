//! What of a call goes through, and how it arrives when it is sent again.

use std::{
    io,
    sync::{Arc, Mutex},
};

use crate::common::*;
use http::Request;
use http_body_util::{BodyExt, Full, StreamBody};
use retry_layer::Retried;
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn what_is_no_llm_call_passes_through_untouched() {
    for request in [
        post("https://api.example/v1/files", OPENAI),
        Request::get("https://api.example/v1/models")
            .body(Full::default())
            .unwrap(),
        Request::post("https://api.example/v1/chat/completions")
            .header("content-type", "multipart/form-data")
            .body(Full::from(OPENAI))
            .unwrap(),
    ] {
        let script = Script::new().then(Answer::json(503, "busy"));
        let layer = exact();
        let response = layer.layer(script).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 503);
        assert!(Retried::of(&response).is_none());
        assert_eq!(header(&response, "x-llm-attempts"), None);
        assert_eq!(layer.handle().stats().requests, 0);
        assert_eq!(text(response).await, "busy");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_streams_through_and_is_sent_once() {
    let script = Script::new().collect_bodies().then(throttled());
    let layer = exact().max_payload_bytes(OPENAI.len() - 1);
    let response = layer.layer(script.clone()).oneshot(openai()).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(script.seen()[0].body.as_deref(), Some(OPENAI.as_bytes()));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_while_sending_is_not_retried_for_and_not_counted() {
    let upload = ScriptedBody::new()
        .data(r#"{"model":"#)
        .error("reset by peer");
    let request = openai().map(|_| upload);
    let script = Script::new().then(Answer::error("the body broke"));
    let layer = exact();
    let error = layer
        .layer(script.clone())
        .oneshot(request)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the body broke");
    assert_eq!(script.calls(), 1);
    assert_eq!(layer.handle().stats(), Default::default());
}

#[tokio::test(start_paused = true)]
async fn an_upload_in_many_pieces_is_sent_whole_again() {
    let pieces = OPENAI.as_bytes().chunks(3).map(|piece| {
        Ok::<_, io::Error>(http_body::Frame::data(bytes::Bytes::copy_from_slice(piece)))
    });
    let body = StreamBody::new(futures_util::stream::iter(pieces.collect::<Vec<_>>()));
    let script = Script::new()
        .collect_bodies()
        .then(throttled())
        .then(answered());
    exact()
        .layer(script.clone())
        .oneshot(openai().map(|_| body))
        .await
        .unwrap();
    assert!(
        script
            .seen()
            .iter()
            .all(|call| call.body.as_deref() == Some(OPENAI.as_bytes()))
    );
}

#[tokio::test(start_paused = true)]
async fn answers_are_asked_for_uncompressed_in_every_attempt() {
    for retries in [0, 1, 2] {
        let script = Script::new().then_always(throttled);
        let service = exact().max_retries(retries).layer(script.clone());
        let mut request = openai();
        let headers = request.headers_mut();
        headers.insert("accept-encoding", "gzip".parse().unwrap());
        headers.append("accept-encoding", "br".parse().unwrap());
        service.clone().oneshot(request).await.unwrap();
        assert_eq!(script.calls(), retries as usize + 1);
        for call in script.seen() {
            let asked: Vec<_> = call.headers.get_all("accept-encoding").iter().collect();
            assert_eq!(asked, ["identity"]);
        }
        // who names none is sent nothing compressed
        service.oneshot(openai()).await.unwrap();
        for call in &script.seen()[retries as usize + 1..] {
            assert_eq!(call.headers.get("accept-encoding"), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_error_is_judged_by_its_status_alone() {
    let gzip = Answer::json(429, &b"\x1f\x8b\x08junk"[..]).header("content-encoding", "gzip");
    let script = Script::new().then(gzip).then(answered());
    exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_of_a_head_survives_a_retry_headers_with_several_values_and_extensions_too() {
    #[derive(Clone, PartialEq, Debug)]
    struct Tenant(u8);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<llm_exchange::Payload>| {
        let betas: Vec<_> = request
            .headers()
            .get_all("anthropic-beta")
            .iter()
            .cloned()
            .collect();
        let line = (request.method().clone(), request.version());
        let tenant = request.extensions().get::<Tenant>().cloned();
        log.lock().unwrap().push((betas, line, tenant));
        async { Err::<http::Response<Full<bytes::Bytes>>, _>(io::Error::other("reset")) }
    });
    let mut request = anthropic();
    request
        .headers_mut()
        .append("anthropic-beta", "a".parse().unwrap());
    request
        .headers_mut()
        .append("anthropic-beta", "b".parse().unwrap());
    request.extensions_mut().insert(Tenant(7));
    *request.version_mut() = http::Version::HTTP_10;
    let error = exact()
        .max_retries(2)
        .layer(inner)
        .oneshot(request)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "reset");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].0.len(), 2);
    assert!(seen.iter().all(|call| *call == seen[0]));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_is_sent_again_byte_for_byte_with_its_number() {
    let script = Script::new()
        .collect_bodies()
        .then(throttled())
        .then(throttled())
        .then(answered());
    let response = exact()
        .layer(script.clone())
        .oneshot(openai())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-llm-attempts"), Some("3"));
    assert_eq!(waits(&script), [1.0, 3.0]);
    for (index, call) in script.seen().iter().enumerate() {
        assert_eq!(call.body.as_deref(), Some(OPENAI.as_bytes()));
        assert_eq!(call.headers["authorization"], "Bearer sk-secret");
        let number = call
            .headers
            .get("x-llm-attempt")
            .map(|value| value.to_str().unwrap());
        assert_eq!(number, [None, Some("2"), Some("3")][index]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_has_the_only_copy_of_the_body() {
    let only = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&only);
    let inner = service_fn(move |request: Request<llm_exchange::Payload>| {
        let log = Arc::clone(&log);
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            log.lock().unwrap().push(body.is_unique());
            Err::<http::Response<Full<bytes::Bytes>>, BoxError>("reset".into())
        }
    });
    let service = exact().max_retries(2).layer(inner);
    service.oneshot(openai()).await.unwrap_err();
    assert_eq!(*only.lock().unwrap(), [false, false, true]);
}
