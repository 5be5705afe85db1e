//! What a call is charged for, once.

use budget_layer::{BudgetLayer, Limit};
use llm_exchange::FromCache;
use proptest::prelude::*;
use testkit::{Point, drop_everywhere};
use tower::service_fn;

use crate::common::*;

/// What Alice is charged for one call.
async fn charged(
    answer: Answer,
    request: http::Request<http_body_util::Full<bytes::Bytes>>,
) -> u64 {
    let layer = daily(1_000_000);
    let script = Script::new().then(answer);
    if let Ok(response) = layer.layer(script).oneshot(request).await {
        let _ = http_body_util::BodyExt::collect(response.into_body()).await;
    }
    let (used, reserved) = alice(&layer.handle()).await;
    assert_eq!(reserved, 0);
    let stats = layer.handle().stats();
    assert_eq!((stats.reserved, stats.settled), (1, 1));
    used
}

#[tokio::test(start_paused = true)]
async fn the_providers_final_usage_is_what_is_charged() {
    assert_eq!(charged(answered(), chat("")).await, 150);
    assert_eq!(charged(streamed(), stream()).await, 150);
    let anthropic = [
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":70,\"cache_read_input_tokens\":30,\"output_tokens\":1}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":50}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ];
    let request = |fields: &str| {
        let body = format!("{{\"model\":\"m\",\"max_tokens\":99,{fields}{PROMPT}}}");
        post("https://a/v1/messages", &body)
    };
    let whole = Answer::sse(anthropic);
    assert_eq!(charged(whole, request("\"stream\":true,")).await, 150);
    // the first numbers are not the last: what passed is estimated, and never below them
    let broken = ScriptedBody::new()
        .data(anthropic[0])
        .data(anthropic[1])
        .error("reset");
    let used = charged(Answer::stream(broken), request("\"stream\":true,")).await;
    assert!((101..=110).contains(&used), "{used}");
    // one call with much hidden reasoning costs more than was reserved: it is charged all the same
    let much = r#"{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":90000}}"#;
    assert_eq!(charged(Answer::json(200, much), chat("")).await, 90_009);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_usage_is_charged_by_what_passed() {
    let words = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two three four five six seven eight\"}}]}\n\n";
    let answer = Answer::sse([words, words, STOP, DONE]);
    let used = charged(answer, stream()).await;
    // sixteen words, on the safe side
    assert!((INPUT + 16..=INPUT + 24).contains(&used), "{used}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_nothing_of_its_tokens_is_not_taken_for_nothing() {
    // put off: it will be fetched by a call that is none to an LLM
    let queued =
        r#"{"id":"resp_1","object":"response","status":"queued","output":[],"usage":null}"#;
    let body = r#"{"model":"m","background":true,"max_output_tokens":700,"input":"hi"}"#;
    let used = charged(
        Answer::json(200, queued),
        post("https://a/v1/responses", body),
    )
    .await;
    assert!((700..720).contains(&used), "{used}");
    let vectors = r#"{"object":"list","data":[{"embedding":[0.1,0.2]}]}"#;
    let body = r#"{"model":"e","input":"some text to be embedded"}"#;
    let used = charged(
        Answer::json(200, vectors),
        post("https://a/v1/embeddings", body),
    )
    .await;
    assert!((4..=8).contains(&used), "{used}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece_was_written_before_its_head_came() {
    let layer = daily(100_000);
    let handle = layer.handle();
    let script = Script::new().then_always(|| {
        let body = ScriptedBody::new().data("{\"choices\":").error("reset");
        Answer::status(200)
            .header("content-type", "application/json")
            .body(body)
    });
    let request = || chat(r#""max_tokens":300,"#);
    let response = layer
        .layer(script.clone())
        .oneshot(request())
        .await
        .unwrap();
    drop(response);
    assert_eq!(alice(&handle).await, (INPUT + 300, 0));
    let response = layer.layer(script).oneshot(request()).await.unwrap();
    http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap_err();
    assert_eq!(alice(&handle).await, (2 * (INPUT + 300), 0));
}

#[tokio::test(start_paused = true)]
async fn what_costs_nothing_is_not_charged() {
    assert_eq!(charged(Answer::status(500), chat("")).await, 0);
    assert_eq!(charged(Answer::status(429), chat("")).await, 0);
    assert_eq!(
        charged(Answer::error("connection refused"), chat("")).await,
        0
    );
    let failed = "data: {\"error\":{\"type\":\"server_error\",\"message\":\"no\"}}\n\n";
    assert_eq!(charged(Answer::sse([failed]), stream()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_not_taken_for_nothing() {
    let answer = Answer::json(200, vec![7u8; 600]).header("content-encoding", "zstd");
    let used = charged(answer, chat("")).await;
    assert!(used >= 600, "{used}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_charged_for_what_was_most_likely_done() {
    let timeout = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    // the prompt, and all that was reserved for an answer in one piece
    let used = charged(Answer::error(timeout()), chat(r#""max_tokens":300,"#)).await;
    assert_eq!(used, INPUT + 300);
    let used = charged(Answer::error(timeout()), stream()).await;
    assert_eq!(used, INPUT);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_further_in_and_an_answer_from_a_cache_give_everything_back() {
    let inner = daily(1);
    let outer = daily(1_000_000);
    let stacked = outer.layer(inner.layer(Script::new()));
    let response = stacked.oneshot(chat("")).await.unwrap();
    assert_eq!(response.status(), 429);
    drop(response);
    assert_eq!(alice(&outer.handle()).await, (0, 0));

    let cache = service_fn(|_: http::Request<llm_exchange::Payload>| async {
        let mut response = Script::<BoxError, BoxError>::new()
            .then(answered())
            .oneshot(http::Request::new(String::new()))
            .await?;
        response.extensions_mut().insert(FromCache::Hit);
        Ok::<_, BoxError>(response)
    });
    let response = outer.layer(cache).oneshot(chat("")).await.unwrap();
    text(response).await;
    assert_eq!(alice(&outer.handle()).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn of_images_no_byte_is_counted_as_text() {
    let image = "A".repeat(400_000);
    let body = format!(
        r#"{{"model":"m","max_tokens":10,"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}]}}"#
    );
    let layer = daily(5_000);
    let request = post("https://a/v1/chat/completions", &body);
    assert_eq!(ask(&layer, answered(), request).await, 200);
}

#[tokio::test(start_paused = true)]
async fn wherever_a_call_is_dropped_it_is_settled_once_and_nothing_stays_reserved() {
    for far in [NOW, SECOND] {
        let points = drop_everywhere(
            async || {
                let script = Script::new().then(
                    Answer::stream(
                        ScriptedBody::new()
                            .data(HELLO)
                            .wait(SECOND)
                            .data(STOP)
                            .data(USAGE)
                            .data(DONE),
                    )
                    .after(SECOND),
                );
                let store = Far::new(far);
                let layer = BudgetLayer::new(store.clone())
                    .limit(Limit::per_user().daily().tokens(9_000))
                    .limit(Limit::for_all().hourly().tokens(9_000));
                let upload = ScriptedBody::<BoxError>::new()
                    .wait(SECOND)
                    .data(format!("{{\"model\":\"m\",\"stream\":true,{PROMPT}}}"));
                let request = stream().map(|_| upload);
                let call = layer.layer(script.clone()).oneshot(request);
                ((script, store, layer.handle()), call)
            },
            async |(script, store, handle), at| {
                let (used, reserved) = alice(&handle).await;
                let all = account(&handle, "all-hour-tokens", "").await;
                assert_eq!((used, reserved), all, "{at:?}");
                assert_eq!(reserved, 0, "{at:?}");
                let (_, _, settled) = store.asked();
                assert_eq!(settled, script.calls(), "{at:?}");
                assert_eq!(handle.stats().settled, 2 * script.calls() as u64);
                match (script.calls(), at.complete) {
                    (0, _) => assert_eq!(used, 0, "{at:?}"),
                    (_, true) => assert_eq!(used, 150, "{at:?}"),
                    // the prompt was most likely read, and what passed was generated
                    (_, false) => assert!(used >= INPUT, "{at:?}: {used}"),
                }
                assert!(script.seen().iter().all(|call| !call.answer.is_alive()));
            },
        )
        .await;
        assert_eq!(points.last().unwrap().point, Point::Ended);
        let pending = |at: &testkit::DroppedAt| matches!(at.point, Point::CallPending(_));
        assert!(points.iter().filter(|at| pending(at)).count() >= 2);
    }
}

#[derive(Clone, Copy, Debug)]
enum Interrupted {
    CallerGone,
    Reset,
    EndedShort,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What was measured is the least that is charged, in two dialects, whoever ends the stream.
    #[test]
    fn an_interrupted_stream_is_never_charged_less_than_what_passed(
        words in prop::collection::vec("[a-z]{1,12}", 1..40),
        read in 0usize..40,
        how in prop::sample::select(vec![
            Interrupted::CallerGone, Interrupted::Reset, Interrupted::EndedShort,
        ]),
        counted in any::<bool>(),
    ) {
        in_paused_time(async {
            let event = |word: &String| if counted {
                format!("event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\" {word}\"}}}}\n\n")
            } else {
                format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" {word}\"}}}}]}}\n\n")
            };
            let mut body = ScriptedBody::new();
            if counted {
                body = body.data("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":70,\"output_tokens\":1}}}\n\n");
            }
            body = words.iter().fold(body, |body, word| body.data(event(word)));
            if let Interrupted::Reset = how {
                body = body.error("reset");
            }
            let layer = daily(100_000);
            let script = Script::new().then(Answer::stream(body));
            let request = if counted {
                let body = format!("{{\"model\":\"m\",\"max_tokens\":900,\"stream\":true,{PROMPT}}}");
                post("https://a/v1/messages", &body)
            } else {
                stream()
            };
            let response = layer.layer(script).oneshot(request).await.unwrap();
            let meter = llm_exchange::Meter::of(&response).unwrap().clone();
            let mut body = response.into_body();
            let frames = match how {
                Interrupted::CallerGone => read,
                _ => usize::MAX,
            };
            for _ in 0..frames {
                match http_body_util::BodyExt::frame(&mut body).await {
                    Some(Ok(_)) => {}
                    _ => break,
                }
            }
            drop(body);
            let measured = meter.tokens();
            let (used, reserved) = alice(&layer.handle()).await;
            assert_eq!(reserved, 0);
            let input = if counted { measured.input } else { INPUT };
            assert!(used >= input.max(INPUT) + measured.output, "{used} {measured:?}");
            assert!(used <= input.max(INPUT) + measured.output * 2 + 1, "{used} {measured:?}");
            assert_eq!(layer.handle().stats().settled, 1);
        });
    }
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    Failed,
    DroppedUnpolled,
    DroppedInFlight,
    DroppedAtHead,
    DroppedInBody,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop::sample::select(vec![
        Fate::Answered,
        Fate::Failed,
        Fate::DroppedUnpolled,
        Fate::DroppedInFlight,
        Fate::DroppedAtHead,
        Fate::DroppedInBody,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_becomes_of_many_calls_the_limit_holds_and_the_end_is_exact(
        fates in prop::collection::vec((fate(), 0u64..3), 1..60),
        limit in 500u64..20_000,
    ) {
        in_paused_time(async {
            let layer = daily(limit);
            let handle = layer.handle();
            for (fate, n) in fates {
                let answer = match fate {
                    Fate::Failed => Answer::error("reset"),
                    Fate::DroppedInFlight => Answer::hang(),
                    _ => streamed(),
                };
                let script = Script::new().then(answer);
                let request = chat(&format!("\"stream\":true,\"n\":{},", n + 1));
                let call = layer.layer(script.clone()).oneshot(request);
                let before = alice(&handle).await;
                match fate {
                    Fate::DroppedUnpolled => drop(call),
                    Fate::DroppedInFlight => drop(tokio::time::timeout(SECOND, call).await),
                    Fate::Failed => drop(call.await),
                    Fate::DroppedAtHead => drop(call.await.unwrap()),
                    Fate::DroppedInBody => {
                        let mut body = call.await.unwrap().into_body();
                        http_body_util::BodyExt::frame(&mut body).await;
                        let (used, reserved) = alice(&handle).await;
                        assert!(used + reserved <= limit.max(before.0));
                    }
                    Fate::Answered => drop(text(call.await.unwrap()).await),
                }
                let (used, reserved) = alice(&handle).await;
                assert_eq!(reserved, 0);
                assert!(used >= before.0);
                assert_eq!(used > before.0, script.calls() == 1 && !matches!(fate, Fate::Failed));
            }
        });
    }
}
