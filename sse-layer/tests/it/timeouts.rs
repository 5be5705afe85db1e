//! Which clock runs out when.

use std::time::Duration;

use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llm_exchange::{CutShort, Refusal, Verdict, WallClock, peek};
use sse_layer::{Clock, StreamTimeoutBody, StreamTimeoutLayer};
use tokio::time::{Instant, timeout};
use tower::{Layer, ServiceExt};

use crate::common::*;

type Answered = Response<StreamTimeoutBody<ScriptedBody>>;

/// The answer, and after how many seconds it came.
async fn answer(
    layer: StreamTimeoutLayer,
    request: Request<Full<bytes::Bytes>>,
    script: Answer,
) -> (Answered, f64) {
    let start = Instant::now();
    let script = Script::new().then(script);
    let response = layer.layer(script).oneshot(request).await.unwrap();
    (response, start.elapsed().as_secs_f64())
}

/// How a call ends that hangs: which clock's 504 stands in, and after how many seconds.
async fn given_up(layer: StreamTimeoutLayer, script: Answer) -> (Option<Clock>, f64) {
    let (response, after) = answer(layer, openai(true), script).await;
    if response.status() == 504 {
        return (Clock::of(&response), after);
    }
    (None, after)
}

/// After how many seconds the body ends or breaks, and what it held.
async fn over(layer: StreamTimeoutLayer, script: Answer) -> (f64, String) {
    let (response, before) = answer(layer, openai(true), script).await;
    let start = Instant::now();
    let mut body = response.into_body();
    let mut all = String::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => all.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap()),
            Err(error) => {
                all.push_str(&format!("<{error}>"));
                break;
            }
        }
    }
    (before + start.elapsed().as_secs_f64(), all)
}

fn stream(body: ScriptedBody) -> Answer {
    Answer::stream(body)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn by_default_no_healthy_call_is_cut_however_long_it_thinks() {
    let layer = StreamTimeoutLayer::new();
    // an unstreamed answer's head comes when it is generated
    let late = Answer::json(200, "{}").after(secs(86_400));
    let (response, _) = answer(layer.clone(), openai(false), late).await;
    assert_eq!(response.status(), 200);
    // a stream that thinks for an hour, with a ping now and then, and then pauses
    let mut body = ScriptedBody::new().data(ROLE);
    for _ in 0..30 {
        body = body.wait(secs(299)).data(COMMENT);
    }
    let body = body.data(say("Hi")).wait(secs(299)).data(STOP).data(DONE);
    let (after, all) = over(layer, stream(body).after(secs(3_600))).await;
    assert_eq!(after, 3_600.0 + 31.0 * 299.0);
    assert!(all.ends_with(&[&say("Hi"), STOP, DONE].concat()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_silent_for_five_minutes_is_dead_streamed_or_not() {
    let body = ScriptedBody::new().data(ROLE).data(say("Hi")).hang();
    let (after, all) = over(StreamTimeoutLayer::new(), stream(body)).await;
    assert_eq!(after, 300.0);
    assert!(all.starts_with(&(ROLE.to_owned() + &say("Hi") + "data: {\"error\":")));
    assert!(all.contains("no byte for 300s") && all.ends_with(DONE));
    let (after, all) = over(StreamTimeoutLayer::new(), half()).await;
    assert_eq!(after, 300.0);
    assert_eq!(all, "{\"id\":<the answer was cut short: no byte for 300s>");
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_its_head_in_time_or_is_a_504() {
    let layer = StreamTimeoutLayer::new().headers(secs(30));
    let late = || stream(ScriptedBody::new()).after(secs(31));
    assert_eq!(
        given_up(layer.clone(), late()).await,
        (Some(Clock::Headers), 30.0)
    );
    // but not an answer that is not streamed
    let (response, after) = answer(
        layer,
        openai(false),
        Answer::json(200, "{}").after(secs(31)),
    )
    .await;
    assert_eq!((response.status().as_u16(), after), (200, 31.0));
}

#[tokio::test(start_paused = true)]
async fn comments_are_no_event_and_protocol_events_no_content() {
    let body = || {
        ScriptedBody::new()
            .wait(secs(3))
            .data(COMMENT)
            .wait(secs(3))
            .data(ROLE)
            .wait(secs(6))
            .data(say("Hi"))
            .hang()
    };
    let layer = || StreamTimeoutLayer::new();
    let first = given_up(layer().first_event(secs(5)), stream(body())).await;
    assert_eq!(first, (Some(Clock::FirstEvent), 5.0));
    let first = given_up(layer().first_event(secs(7)), stream(body())).await;
    assert_eq!(first.0, None);
    let content = given_up(layer().first_content(secs(11)), stream(body())).await;
    assert_eq!(content, (Some(Clock::FirstContent), 11.0));
    let content = given_up(layer().first_content(secs(13)), stream(body())).await;
    assert_eq!(content, (None, 12.0), "handed on with the first content");
}

#[tokio::test(start_paused = true)]
async fn the_time_to_the_head_counts_for_the_first_content() {
    let layer = StreamTimeoutLayer::new().first_content(secs(20));
    let answer = stream(ScriptedBody::new().data(ROLE).hang()).after(secs(12));
    assert_eq!(
        given_up(layer, answer).await,
        (Some(Clock::FirstContent), 20.0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_held_back_only_where_a_clock_may_soon_run_out() {
    let body = || ScriptedBody::new().data(ROLE).hang();
    // a minute is more than is held back
    let layer = StreamTimeoutLayer::new().first_content(secs(60));
    let (after, all) = over(layer.clone(), stream(body())).await;
    assert_eq!(after, 60.0);
    assert!(
        all.starts_with(&(ROLE.to_owned() + "data: {\"error\":")),
        "{all}"
    );
    let (_, after) = answer(layer.clone(), openai(true), stream(body())).await;
    assert_eq!(after, 0.0);
    // by setting it is held back as long as that
    let first = given_up(layer.hold(secs(90)), stream(body())).await;
    assert_eq!(first, (Some(Clock::FirstContent), 60.0));
    // a clock that may run out, but pings that hold it off: handed on in the end
    let pings = (0..10).fold(ScriptedBody::new(), |body, _| {
        body.wait(secs(4)).data(COMMENT)
    });
    let (_, after) = answer(
        StreamTimeoutLayer::new().silence(secs(5)),
        openai(true),
        stream(pings.hang()),
    )
    .await;
    assert_eq!(after, 15.0);
}

#[tokio::test(start_paused = true)]
async fn pings_hold_off_the_silence_but_are_no_content() {
    let pings = |body: ScriptedBody| (0..9).fold(body, |body, _| body.wait(secs(10)).data(COMMENT));
    let body = || pings(ScriptedBody::new().data(ROLE).data(say("Hi"))).hang();
    let layer = StreamTimeoutLayer::new().silence(secs(15));
    assert_eq!(over(layer.clone(), stream(body())).await.0, 90.0 + 15.0);
    let (after, all) = over(layer.idle(secs(42)), stream(body())).await;
    assert_eq!(after, 42.0);
    assert!(
        all.contains("no content for 42s") && all.matches(COMMENT).count() == 4,
        "{all}"
    );
}

#[tokio::test(start_paused = true)]
async fn content_holds_off_the_idle_clock_but_not_the_total() {
    let body = (0..100).fold(ScriptedBody::new(), |body, i| {
        body.data(say(&format!(" {i}"))).wait(secs(9))
    });
    let layer = StreamTimeoutLayer::new().idle(secs(10)).total(secs(95));
    let (after, all) = over(layer, stream(body)).await;
    assert_eq!(after, 95.0);
    assert!(
        all.contains(&say(" 10")) && all.contains("not complete within 95s"),
        "{all}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_total_is_also_of_answers_that_are_not_streamed() {
    let layer = StreamTimeoutLayer::new().total(secs(20));
    let (response, after) = answer(layer.clone(), openai(false), Answer::hang()).await;
    assert_eq!((Clock::of(&response), after), (Some(Clock::Total), 20.0));
    let (response, after) = answer(layer, openai(false), half().after(secs(3))).await;
    assert_eq!((response.status().as_u16(), after), (200, 3.0));
    let error = response.into_body().collect().await.unwrap_err();
    assert!(error.is::<CutShort>());
}

#[tokio::test(start_paused = true)]
async fn an_unstreamed_body_that_hangs_at_once_is_a_504_if_a_clock_may_soon_run_out() {
    let layer = StreamTimeoutLayer::new().total(secs(20));
    let hangs = Answer::status(200)
        .header("content-type", "application/json")
        .body(ScriptedBody::new().hang())
        .after(secs(10));
    let (response, after) = answer(layer, openai(false), hangs).await;
    assert_eq!((response.status().as_u16(), after), (504, 20.0));
}

#[tokio::test(start_paused = true)]
async fn a_paused_reader_trips_no_clock() {
    let layer = StreamTimeoutLayer::new()
        .first_content(secs(20))
        .silence(secs(10))
        .idle(secs(20))
        .total(secs(60))
        .min_tokens(1, secs(15));
    let body = ScriptedBody::new()
        .data(ROLE)
        .data(say("a"))
        .wait(secs(5))
        .data(say("b"))
        .data(COMMENT)
        .wait(secs(5))
        .data(COMMENT)
        .wait(secs(5))
        .data(say("c"))
        .data(STOP)
        .data(DONE);
    let (response, _) = answer(layer, openai(true), stream(body)).await;
    let mut body = response.into_body();
    let mut all = String::new();
    while let Some(frame) = body.frame().await {
        all.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        // ten hours between one frame and the next
        tokio::time::advance(secs(36_000)).await;
    }
    assert!(all.ends_with(&[&say("c"), STOP, DONE].concat()), "{all}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_pauses_amid_a_wait_trips_no_clock_but_an_upstream_that_is_late_does() {
    for (late, trips) in [(5, false), (70, true)] {
        let layer = StreamTimeoutLayer::new()
            .idle(secs(20))
            .total(secs(60))
            .min_tokens(1, secs(15));
        let body = ScriptedBody::new()
            .data(say("a"))
            .wait(secs(late))
            .data(COMMENT)
            .data(say("b"))
            .wait(secs(5))
            .data(say("c"))
            .data(STOP)
            .data(DONE);
        let (response, _) = answer(layer, openai(true), stream(body)).await;
        let mut body = response.into_body();
        let mut all = data(&mut body).await;
        // it asks, there is nothing yet, and it goes elsewhere for ten hours
        assert!(body.frame().now_or_never().is_none());
        tokio::time::advance(secs(late)).await;
        tokio::task::yield_now().await;
        tokio::time::advance(secs(36_000)).await;
        while let Some(frame) = body.frame().await {
            all.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
        assert_eq!(all.contains("stream_timeout"), trips, "{late}: {all}");
        assert_eq!(all.contains(&say("c")), !trips, "{late}: {all}");
    }
}

#[tokio::test(start_paused = true)]
async fn data_that_is_here_goes_before_a_clock_that_is_over() {
    let layer = StreamTimeoutLayer::new().silence(secs(10));
    let body = ScriptedBody::new()
        .data(say("a"))
        .wait(secs(5))
        .data(say("b"))
        .data(DONE);
    let (response, _) = answer(layer, openai(true), stream(body)).await;
    let mut body = response.into_body();
    data(&mut body).await;
    // it asks, and is busy elsewhere when the data comes and the clock would run out
    assert!(timeout(secs(1), body.frame()).await.is_err());
    tokio::time::advance(secs(100)).await;
    assert_eq!(data(&mut body).await, say("b"));
    assert_eq!(data(&mut body).await, DONE);
}

#[tokio::test(start_paused = true)]
async fn too_few_tokens_in_a_window_are_a_stall() {
    let drip = |wait: u64| {
        (0..1_000).fold(ScriptedBody::new(), |body, _| {
            body.data(say(" x")).wait(secs(wait))
        })
    };
    let layer = StreamTimeoutLayer::new().min_tokens(5, secs(10));
    let (after, _) = over(layer.clone(), stream(drip(1))).await;
    assert_eq!(after, 1_000.0);
    let (after, all) = over(layer, stream(drip(3))).await;
    assert_eq!(after, 10.0);
    assert!(all.contains("too few tokens within 10s"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn a_model_in_a_loop_is_stopped() {
    let body = || {
        (0..1_000).fold(ScriptedBody::new().data(say("a")), |body, _| {
            body.data(say(" no"))
        })
    };
    let layer = StreamTimeoutLayer::new().max_repeats(20);
    let (_, all) = over(layer, stream(body())).await;
    assert_eq!(all.matches(&say(" no")).count(), 20);
    assert!(all.contains("the same text 20 times in a row") && all.ends_with(DONE));
    let (_, all) = over(StreamTimeoutLayer::new(), stream(body())).await;
    assert_eq!(all.matches(&say(" no")).count(), 1_000, "off by default");
}

#[tokio::test(start_paused = true)]
async fn a_model_may_have_clocks_of_its_own() {
    let layer = StreamTimeoutLayer::new().headers(secs(10));
    let slow = StreamTimeoutLayer::new().headers(secs(40));
    let layer = layer
        .for_model("gpt-6-*", slow)
        .for_model("gpt-6-sol", StreamTimeoutLayer::new());
    assert_eq!(
        given_up(layer.clone(), Answer::hang()).await,
        (Some(Clock::Headers), 40.0)
    );
    let (response, after) = answer(layer, anthropic(), Answer::hang()).await;
    assert_eq!((Clock::of(&response), after), (Some(Clock::Headers), 10.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_llm_call_is_left_alone() {
    let layer = StreamTimeoutLayer::new()
        .headers(SECOND)
        .total(SECOND)
        .silence(SECOND);
    let request = post("https://api.example/v1/files", "{}");
    let late = stream(ScriptedBody::new().wait(secs(600)).data("x")).after(secs(600));
    let (response, after) = answer(layer, request, late).await;
    assert_eq!((response.status().as_u16(), after), (200, 600.0));
    assert_eq!(text(response).await, "x");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_layer_further_in_passes() {
    #[derive(Clone)]
    struct Refuses;
    impl tower::Service<Request<llm_exchange::Payload>> for Refuses {
        type Response = Response<llm_exchange::AnswerBody<ScriptedBody>>;
        type Error = BoxError;
        type Future = std::future::Ready<Result<Self::Response, BoxError>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), BoxError>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<llm_exchange::Payload>) -> Self::Future {
            let answer =
                llm_exchange::ErrorAnswer::new(http::StatusCode::SERVICE_UNAVAILABLE, "open", "no");
            std::future::ready(Ok(Refusal::new("breaker-layer", answer).into_response(None)))
        }
    }
    let service = StreamTimeoutLayer::new().total(SECOND).layer(Refuses);
    let response = service.oneshot(openai(true)).await.unwrap();
    assert_eq!(Refusal::of(&response).unwrap().code(), "open");
}

#[tokio::test(start_paused = true)]
async fn a_retry_sees_an_attempt_that_timed_out() {
    use llm_exchange::{Call, Payload, PeekLimits};
    let request = Payload::read(openai(true), 1 << 20).await;
    let call = Call::of(&request).unwrap().clone();
    let verdict = async |layer: StreamTimeoutLayer, script: Answer, limits: PeekLimits| {
        let (response, _) = answer(layer, openai(true), script).await;
        let (peeked, _) = peek(response, &call, limits, &WallClock::default()).await;
        peeked.verdict()
    };
    let layer = StreamTimeoutLayer::new()
        .headers(secs(5))
        .first_content(secs(30));
    let limits = PeekLimits::default();
    assert_eq!(
        verdict(layer.clone(), Answer::hang(), limits).await,
        Verdict::TimedOut
    );
    // who holds the answer back longer than this layer does sees it in the stream
    let thinks = stream(ScriptedBody::new().data(ROLE).hang());
    let limits = limits.commit_after(secs(60));
    assert_eq!(verdict(layer, thinks, limits).await, Verdict::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn the_hold_of_a_models_own_clocks_counts_too() {
    let layer = StreamTimeoutLayer::new().first_content(SECOND * 20);
    let slow = layer.clone().hold(SECOND * 30);
    for (model, status) in [("gpt-6-*", 504), ("other", 200)] {
        let body = ScriptedBody::new().data(ROLE).hang();
        let script = Script::new().then(Answer::stream(body));
        let service = layer.clone().for_model(model, slow.clone()).layer(script);
        let response = service.oneshot(openai(true)).await.unwrap();
        assert_eq!(response.status(), status, "{model}");
    }
}
