//! What the reader sees of an answer that is given up, and that nothing else is changed.

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Body;
use http_body_util::BodyExt;
use llm_exchange::{Cut, End, Meter, Verdict};
use sse_layer::{Clock, StreamTimeoutLayer};
use testkit::{Point, drop_everywhere};
use tower::{Layer, ServiceExt};

use crate::common::*;

fn layer() -> StreamTimeoutLayer {
    StreamTimeoutLayer::new().silence(SECOND * 60)
}

#[tokio::test(start_paused = true)]
async fn the_504_speaks_the_callers_dialect_and_holds_nothing() {
    let script = Script::new().then(Answer::hang()).then(Answer::hang());
    let layer = layer().headers(SECOND * 5);
    let service = layer.layer(script.clone());
    let response = service.clone().oneshot(openai(true)).await.unwrap();
    assert!(
        !script.seen()[0].answer.is_alive(),
        "let go when the clock ran out"
    );
    assert_eq!(
        (response.status().as_u16(), Clock::of(&response)),
        (504, Some(Clock::Headers))
    );
    assert_eq!(
        text(response).await,
        "{\"error\":{\"message\":\"no response head within 5s\",\"type\":\"server_error\",\
         \"param\":null,\"code\":\"stream_timeout\"}}"
    );
    let response = service.oneshot(anthropic()).await.unwrap();
    assert!(
        text(response)
            .await
            .starts_with("{\"type\":\"error\",\"error\":{\"type\":\"timeout_error\"")
    );
}

#[tokio::test(start_paused = true)]
async fn after_content_a_stream_ends_in_order_and_its_meter_knows() {
    for (request, events, ending) in [
        (
            openai(true),
            [ROLE.to_owned(), say("Hi")],
            "data: {\"error\":{\"message\":\"no byte for 60s\",\"type\":\"server_error\",\
             \"param\":null,\"code\":\"stream_timeout\"}}\n\ndata: [DONE]\n\n",
        ),
        (
            anthropic(),
            [START.to_owned(), tell("Hi")],
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\
             \"message\":\"no byte for 60s\",\"details\":{\"error_code\":\"stream_timeout\"}}}\n\n",
        ),
    ] {
        // the beginning of an event that will never be whole is not handed on
        let body = ScriptedBody::new()
            .data(events[0].clone())
            .data(events[1].clone() + "data: {\"choi")
            .hang();
        let script = Script::new().then(Answer::stream(body));
        let response = layer()
            .layer(script.clone())
            .oneshot(request)
            .await
            .unwrap();
        let meter = Meter::of(&response).unwrap().clone();
        let mut body = response.into_body();
        assert_eq!(data(&mut body).await, events[0]);
        assert_eq!(data(&mut body).await, events[1]);
        assert!(script.seen()[0].answer.is_alive());
        assert_eq!(data(&mut body).await, ending);
        assert!(!script.seen()[0].answer.is_alive());
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
        assert_eq!(meter.end(), Some(End::Cut(Cut::Clock)));
        assert_eq!(meter.verdict(), Verdict::TimedOut);
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_clock_is_numbered_after_the_events_that_came() {
    let delta = |number: u64| {
        format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\
             \"sequence_number\":{number},\"delta\":\"Hi \"}}\n\n"
        )
    };
    let body = ScriptedBody::new()
        .data(delta(6))
        .data(delta(7) + "event: response.out")
        .hang();
    let script = Script::new().then(Answer::stream(body));
    let request = post(
        "https://api.example/v1/responses",
        r#"{"model":"m","stream":true,"input":"hi"}"#,
    );
    let response = layer().layer(script).oneshot(request).await.unwrap();
    let all = text(response).await;
    let last = all.rsplit_once("data: ").unwrap().1;
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(
        (&last["type"], &last["sequence_number"]),
        (&"error".into(), &8.into())
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_too_long_to_hold_is_closed_before_the_error() {
    let huge = format!("data: {}", "x".repeat(5 << 20));
    let body = ScriptedBody::new()
        .data(say("Hi"))
        .data(huge.clone())
        .hang();
    let script = Script::new().then(Answer::stream(body));
    let response = layer().layer(script).oneshot(openai(true)).await.unwrap();
    let all = text(response).await;
    assert!(all.starts_with(&(say("Hi") + &huge + "\n\ndata: {\"error\":")));
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_has_its_status_in_trailers_or_in_a_head_that_is_all() {
    let grpc_answer = |body| {
        Answer::status(200)
            .header("content-type", "application/grpc")
            .body(body)
    };
    let body = ScriptedBody::new().data(&b"\0\0\0\0\x02hi"[..]).hang();
    let script = Script::new().then(grpc_answer(body)).then(Answer::hang());
    let service = layer().total(SECOND * 90).layer(script);
    let response = service.clone().oneshot(grpc()).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "4");
    assert_eq!(trailers["grpc-message"], "no byte for 60s");
    assert_eq!(collected.to_bytes().len(), 7);

    let response = service.oneshot(grpc()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "4");
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert!(response.body().is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_cut_passes_byte_for_byte() {
    let frames = [
        "\u{feff}: hi\r\n\r\n",
        "event: x\r",
        "\ndata: {\"choices\":[]}\r\n",
        "\r",
        "\n",
        ROLE,
        "data: \u{2028}\n\ndata: y\n\nda",
        "ta: z\n\n",
        DONE,
        "data: unfinished",
    ];
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    let body = frames
        .iter()
        .fold(ScriptedBody::new(), |body, frame| body.data(*frame));
    let body = body.trailers(trailers.clone()).panic_past_end();
    let script = Script::new().then(Answer::stream(body));
    let response = layer().layer(script).oneshot(openai(true)).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), frames.concat());
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_utf8_pass_and_do_no_harm() {
    let noise: Vec<_> = (0..=255).collect();
    let body = ScriptedBody::new()
        .data(noise.clone())
        .data(&b"\n\ndata: \xff\xfe\n\n"[..]);
    let script = Script::new().then(Answer::stream(body));
    let response = layer().layer(script).oneshot(openai(true)).await.unwrap();
    let all = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(all, [&noise[..], b"\n\ndata: \xff\xfe\n\n"].concat());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_upstream_comes_as_it_is_after_what_came_before_it() {
    let body = ScriptedBody::new()
        .data(say("Hi") + "data: half")
        .error("reset");
    let script = Script::new().then(Answer::stream(body));
    let response = layer().layer(script).oneshot(openai(true)).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(data(&mut body).await, say("Hi"));
    assert_eq!(data(&mut body).await, "data: half");
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().to_string(),
        "reset"
    );
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_length_of_an_answer_that_is_not_streamed_stays() {
    let script = Script::new().then(Answer::json(200, "{\"id\":1}"));
    let response = layer().layer(script).oneshot(openai(false)).await.unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(8));
    assert_eq!(response.headers()["content-length"], "8");
}

#[tokio::test(start_paused = true)]
async fn wherever_the_caller_goes_away_the_upstream_is_let_go_at_once() {
    let points = drop_everywhere(
        async || {
            let body = ScriptedBody::new()
                .data(ROLE)
                .wait(SECOND)
                .data(COMMENT)
                .wait(SECOND)
                .data(say("Hi") + "data: ")
                .wait(SECOND)
                .hang();
            let script = Script::new().then(Answer::stream(body).after(SECOND));
            let upload = ScriptedBody::<BoxError>::new()
                .wait(SECOND)
                .data(openai_body());
            let layer = layer().first_content(SECOND * 10).idle(SECOND * 20);
            let call = layer
                .layer(script.clone())
                .oneshot(openai(true).map(|_| upload));
            (script, call)
        },
        async |script, at| {
            let seen = script.seen();
            assert!(seen.iter().all(|call| !call.answer.is_alive()), "{at:?}");
        },
    )
    .await;
    // the upload, the head, twice the first content; the body to its idle clock
    let pending = |point: &Point| matches!(point, Point::CallPending(_));
    assert_eq!(
        points.iter().filter(|at| pending(&at.point)).count(),
        4,
        "{points:?}"
    );
    assert_eq!(points.last().unwrap().point, Point::Ended);
}

fn openai_body() -> Bytes {
    Bytes::from_static(br#"{"model":"gpt-6-sol","messages":[],"stream":true}"#)
}

#[tokio::test(start_paused = true)]
async fn nothing_of_the_answer_is_shown() {
    let body = ScriptedBody::new().data(say("canary"));
    let script = Script::new().then(Answer::stream(body));
    let response: Response<_> = layer().layer(script).oneshot(openai(true)).await.unwrap();
    assert!(!format!("{response:?}").contains("canary"));
}
