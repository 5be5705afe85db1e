//! One record a call, whatever comes of it.

use std::sync::Arc;

use cost_layer::{
    Booked, By, CostLayer, Day, Format, PerMillion, Prices, Query, Span, Tags, Window,
};
use http_body_util::BodyExt;
use llm_exchange::{
    Call, Dialect, End, ErrorAnswer, FromCache, Money, Payload, Refusal, User, Verdict,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn a_call_is_booked_at_the_end_of_its_answer_with_all_that_is_known_of_it() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new().then(answered().after(SECOND));
    let mut request = post(OPENAI);
    request
        .headers_mut()
        .insert("x-request-id", "mine".parse().unwrap());
    request.extensions_mut().insert(User::new("alice"));
    request
        .extensions_mut()
        .insert(Tags::new().with("team", "search"));
    let response = layer.layer(script).oneshot(request).await.unwrap();
    let booked = Booked::of(&response).unwrap().clone();
    assert!(booked.record().is_none());
    assert_eq!(handle.stats().calls, 0);
    text(response).await;
    assert_eq!(booked.record().unwrap().cost(), Money::from_picos(COST));

    let entry = only(&handle).await;
    assert_eq!(entry.user, Some(User::new("alice")));
    assert_eq!(&*entry.provider, "api.openai.com");
    assert_eq!(&*entry.model, "gpt-6-sol");
    assert_eq!(entry.model_asked.as_deref(), Some("gpt-6-sol"));
    assert_eq!(entry.model_served.as_deref(), Some("gpt-6-sol-2026-09-22"));
    assert_eq!((&*entry.dialect, entry.status), ("openai_chat", 200));
    assert_eq!(
        (entry.verdict, entry.end),
        (Verdict::Ok, Some(End::Complete))
    );
    assert_eq!(entry.finish.as_deref(), Some("stop"));
    assert_eq!((entry.usage.input(), entry.usage.output()), (1_000, 100));
    assert!(!entry.is_estimated);
    assert_eq!(entry.cost(), Some(Money::from_picos(COST)));
    assert_eq!(
        entry.charge.unwrap().output,
        Money::from_picos(1_000_000_000)
    );
    assert_eq!((entry.total, entry.first_content), (SECOND, Some(SECOND)));
    assert_eq!(entry.request_id.as_deref(), Some("mine"));
    assert_eq!(entry.provider_request_id.as_deref(), Some("req_1"));
    assert_eq!(entry.answer_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!(entry.tags.get("team"), Some("search"));
    let shown = format!("{entry:?} {handle:?} {}", Format::JsonLines.line(&entry));
    assert!(!shown.contains("canary"), "{shown}");

    let team = By::Tag("team".into());
    let sum = handle.spend(&Query::new(Span::all(), team)).await.unwrap();
    assert_eq!((sum[0].key.as_str(), sum[0].cost.picos()), ("search", COST));
    assert_eq!(handle.daily(handle.today()).await.unwrap()[0].requests, 1);
    assert_eq!(
        handle
            .daily("1999-01-01".parse::<Day>().unwrap())
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        handle.top_spenders(Span::all(), 5).await.unwrap()[0].key,
        "alice"
    );
    assert_eq!(
        handle.records_of("alice", Span::all(), 5).await.unwrap(),
        [entry]
    );
    let latency = handle.latency("gpt-6-sol", Window::Minute).unwrap();
    assert_eq!(latency.ok.total.count, 1);
    let mut csv = Vec::new();
    assert_eq!(
        handle
            .export(Span::all(), Format::Csv, &mut csv)
            .await
            .unwrap(),
        1
    );
    assert_eq!(String::from_utf8(csv).unwrap().lines().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_usage_of_a_stream_is_asked_for_and_hidden_from_who_did_not_ask() {
    let layer = layer();
    let handle = layer.handle();
    let body = ScriptedBody::new()
        .wait(SECOND)
        .data(HELLO)
        .wait(SECOND * 3)
        .data(STOP)
        .data(USAGE)
        .data(DONE);
    let script = Script::new().collect_bodies().then(Answer::stream(body));
    let response = layer
        .layer(script.clone())
        .oneshot(post(STREAM))
        .await
        .unwrap();
    assert_eq!(text(response).await, format!("{HELLO}{STOP}{DONE}"));
    let sent = script.seen()[0].body.clone().unwrap();
    assert!(
        String::from_utf8(sent.to_vec())
            .unwrap()
            .contains("include_usage")
    );
    let entry = only(&handle).await;
    assert_eq!(entry.cost(), Some(Money::from_picos(COST)));
    assert_eq!(
        (entry.first_content, entry.total),
        (Some(SECOND), SECOND * 4)
    );
    // three seconds between the first of a hundred tokens and the last
    assert_eq!(entry.per_token, Some(SECOND * 3 / 99));
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_caller_goes_away_is_charged_by_estimate() {
    let layer = layer();
    let handle = layer.handle();
    let body = ScriptedBody::new().data(HELLO).hang();
    let script = Script::new().then(Answer::stream(body));
    let response = layer.layer(script).oneshot(post(STREAM)).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let entry = only(&handle).await;
    assert_eq!(
        (entry.verdict, entry.end),
        (Verdict::CallerGone, Some(End::Dropped))
    );
    assert!(entry.is_estimated && entry.usage.input() > 0 && entry.usage.output() > 0);
    assert!(entry.cost().unwrap() > Money::ZERO);
    let latency = handle.latency("gpt-6-sol", Window::AllTime).unwrap();
    assert_eq!(
        (latency.ok.total.count, latency.abandoned.total.count),
        (0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn errors_and_refusals_are_records_and_cost_nothing_whatever_the_model() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new()
        .then(Answer::json(
            429,
            r#"{"error":{"code":"rate_limit_exceeded"}}"#,
        ))
        .then(Answer::error("refused"))
        .then(Answer::sse([
            "data: {\"error\":{\"type\":\"server_error\"}}\n\n",
        ]));
    let unknown = OPENAI.replace("gpt-6-sol", "who-knows");
    text(
        layer
            .layer(script.clone())
            .oneshot(post(&unknown))
            .await
            .unwrap(),
    )
    .await;
    layer
        .layer(script.clone())
        .oneshot(post(&unknown))
        .await
        .unwrap_err();
    text(layer.layer(script).oneshot(post(STREAM)).await.unwrap()).await;
    let refusing = service_fn(|request: http::Request<Payload>| async move {
        let dialect = Call::of(&request).map(|call| call.dialect());
        let answer = ErrorAnswer::new(
            http::StatusCode::SERVICE_UNAVAILABLE,
            "open",
            "closed for now",
        );
        Ok::<http::Response<llm_exchange::AnswerBody<ScriptedBody<BoxError>>>, BoxError>(
            Refusal::new("test", answer).into_response(dialect),
        )
    });
    text(layer.layer(refusing).oneshot(post(OPENAI)).await.unwrap()).await;
    let all = entries(&handle).await;
    let mut verdicts: Vec<_> = all.iter().map(|entry| entry.verdict.as_str()).collect();
    verdicts.sort_unstable();
    assert_eq!(verdicts, ["failed", "failed", "refused", "throttled"]);
    assert!(all.iter().all(|entry| entry.cost() == Some(Money::ZERO)));
    assert_eq!(handle.stats().unpriced, 0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_price_is_a_state_of_its_own() {
    let layer = layer();
    let handle = layer.handle();
    let body = answered_by("who-knows");
    let request = OPENAI.replace("gpt-6-sol", "who-knows");
    text(
        layer
            .layer(Script::new().then(body))
            .oneshot(post(&request))
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(only(&handle).await.cost(), None);
    assert_eq!(
        (handle.stats().unpriced, handle.stats().cost),
        (1, Money::ZERO)
    );
    assert_eq!(handle.daily(handle.today()).await.unwrap()[0].unpriced, 1);
}

fn answered_by(model: &str) -> Answer {
    Answer::json(
        200,
        format!(
            r#"{{"model":"{model}","choices":[],"usage":{{"prompt_tokens":1000,"completion_tokens":100}}}}"#
        ),
    )
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_no_list_has_is_charged_as_the_model_that_was_asked_for() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new().then(answered_by("gpt-6-sol-of-tomorrow"));
    text(layer.layer(script).oneshot(post(OPENAI)).await.unwrap()).await;
    assert_eq!(only(&handle).await.cost(), Some(Money::from_picos(COST)));
}

#[tokio::test(start_paused = true)]
async fn the_apps_own_price_of_what_was_asked_comes_before_the_tables_of_what_answered() {
    let own = PerMillion::new(Money::usd(1_000), Money::ZERO);
    for served in ["gpt-6-sol-2026-09-22", "gpt-4o-mini"] {
        let layer = CostLayer::new(Prices::builtin().model("gpt-6-sol", own));
        let handle = layer.handle();
        let script = Script::new().then(answered_by(served));
        text(layer.layer(script).oneshot(post(OPENAI)).await.unwrap()).await;
        assert_eq!(only(&handle).await.cost(), Some(Money::usd(1)), "{served}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_a_cache_costs_nothing_and_says_what_was_saved() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new().then(answered());
    let cache = service_fn(move |request: http::Request<Payload>| {
        let script = script.clone();
        async move {
            let mut response = script.oneshot(request).await?;
            response.extensions_mut().insert(FromCache::Hit);
            Ok::<_, BoxError>(response)
        }
    });
    text(layer.layer(cache).oneshot(post(OPENAI)).await.unwrap()).await;
    let entry = only(&handle).await;
    assert_eq!(
        (entry.cost(), entry.saved),
        (Some(Money::ZERO), Money::from_picos(COST))
    );
    assert_eq!(entry.from_cache, Some(FromCache::Hit));
    assert_eq!(handle.stats().saved, Money::from_picos(COST));
    // how long a model takes is not told by a hit
    assert_eq!(handle.latency("gpt-6-sol", Window::AllTime), None);
}

/// An answer that two models made. Its top level counts only the last part.
fn made_by_two_models(others: &str) -> Answer {
    Answer::json(
        200,
        format!(
            r#"{{"id":"msg_1","type":"message","model":"claude-opus-5-5","content":[{{"type":"text","text":"Yellow"}}],"stop_reason":"end_turn","usage":{{"input_tokens":500,"output_tokens":30,"iterations":[
            {{"type":"message","model":"claude-opus-5-5","input_tokens":150000,"output_tokens":900}},
            {{"type":"message","model":"claude-opus-5-5","input_tokens":500,"output_tokens":3}},
            {{"type":"fallback_message","model":"{others}","input_tokens":500,"output_tokens":27}}]}}}}"#
        ),
    )
}

#[tokio::test(start_paused = true)]
async fn an_answer_made_by_several_models_is_charged_part_by_part() {
    let request = r#"{"model":"claude-opus-5-5","max_tokens":999,"messages":[{"role":"user","content":"hi"}]}"#;
    let ask = async |other: &str| {
        let layer = layer();
        let handle = layer.handle();
        let script = Script::new().then(made_by_two_models(other));
        let request = http::Request::post("https://api.anthropic.com/v1/messages")
            .header("content-type", "application/json")
            .body(http_body_util::Full::from(request))
            .unwrap();
        text(layer.layer(script).oneshot(request).await.unwrap()).await;
        only(&handle).await
    };
    let entry = ask("claude-sonnet-5-5").await;
    assert_eq!((entry.usage.input(), entry.usage.output()), (151_000, 930));
    // 150,500 at 4 and 903 at 20; 500 at 2 and 27 at 10
    let micros = (150_500 * 4 + 903 * 20) + (500 * 2 + 27 * 10);
    assert_eq!(micros, 621_330);
    assert_eq!(entry.cost(), Some(Money::from_picos(micros * 1_000_000)));
    // a part without a price is not passed over
    assert_eq!(ask("who-knows").await.cost(), None);
}

/// A call for this model.
async fn asking(model: &str) -> Arc<Call> {
    let mut request = Payload::read(post(OPENAI), 1 << 20).await;
    Call::set_model(&mut request, model).unwrap();
    Arc::clone(Call::of(&request).unwrap())
}

/// Gives up attempts as a layer further in does, and then answers.
#[tokio::test(start_paused = true)]
async fn what_attempts_left_behind_spent_is_booked_with_their_models() {
    let layer = layer();
    let handle = layer.handle();
    let inner = service_fn(|request: http::Request<Payload>| async move {
        let call = Call::of(&request).unwrap().clone();
        let attempts = call.attempts();
        let failed = Answer::sse([HELLO]);
        let script = Script::new().then(failed).then(answered());
        let failed = script.clone().oneshot(request).await?;
        let (meter, failed) = llm_exchange::Meter::attach(failed, &call);
        failed.into_body().collect().await?;
        let other = asking("gpt-4o").await;
        attempts.leave_behind(&other, Verdict::Failed, Some(meter));
        attempts.again().unwrap();
        let mini = asking("gpt-4o-mini").await;
        attempts.leave_behind(&mini, Verdict::TimedOut, None);
        attempts.again().unwrap();
        let nano = asking("gpt-5-nano").await;
        attempts.leave_behind(&nano, Verdict::Outrun, None);
        attempts.again().unwrap();
        attempts.leave_behind(&nano, Verdict::CallerGone, None);
        attempts.again().unwrap();
        script.oneshot(post(OPENAI)).await
    });
    text(layer.layer(inner).oneshot(post(STREAM)).await.unwrap()).await;
    let all = entries(&handle).await;
    let parts: Vec<_> = all
        .iter()
        .map(|entry| (entry.part, &*entry.model))
        .collect();
    assert_eq!(
        parts,
        [
            (0, "gpt-6-sol"),
            (1, "gpt-4o"),
            (2, "gpt-4o-mini"),
            (3, "gpt-5-nano"),
            (4, "gpt-5-nano")
        ]
    );
    assert!(all.iter().all(|entry| entry.id == all[0].id));
    assert!(all[1].is_estimated && all[1].usage.output() > 0);
    // nobody knows whether it was generated; its prompt was most likely read
    let unheard = [Verdict::TimedOut, Verdict::Outrun, Verdict::CallerGone];
    for (entry, verdict) in all[2..].iter().zip(unheard) {
        assert_eq!(entry.verdict, verdict);
        assert!(entry.is_estimated && entry.usage.input() > 0 && entry.usage.output() == 0);
    }
    assert_eq!(all[0].attempts, 5);
    let sum = all
        .iter()
        .filter_map(|entry| entry.cost())
        .fold(Money::ZERO, Money::saturating_add);
    assert_eq!((handle.stats().calls, handle.stats().cost), (1, sum));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_charged_its_prompt_once_whether_it_is_the_last_or_left_behind() {
    let gone = || Answer::json(504, r#"{"error":{"code":"stream_timeout"}}"#);
    let prompt = {
        let request = Payload::read(post(OPENAI), 1 << 20).await;
        Call::of(&request).unwrap().estimated_input()
    };
    let layer = layer();
    let handle = layer.handle();
    text(
        layer
            .layer(Script::new().then(gone()))
            .oneshot(post(OPENAI))
            .await
            .unwrap(),
    )
    .await;
    let late = service_fn(|_: http::Request<Payload>| async {
        let error = std::io::Error::from(std::io::ErrorKind::TimedOut);
        Err::<http::Response<ScriptedBody<BoxError>>, BoxError>(error.into())
    });
    layer.layer(late).oneshot(post(OPENAI)).await.unwrap_err();
    // a layer further in gives up the last attempt too, and says so itself
    let said = service_fn(move |request: http::Request<Payload>| async move {
        let call = Call::of(&request).unwrap().clone();
        call.attempts().leave_behind(&call, Verdict::TimedOut, None);
        Script::new().then(gone()).oneshot(request).await
    });
    text(layer.layer(said).oneshot(post(OPENAI)).await.unwrap()).await;
    let all = entries(&handle).await;
    let inputs: Vec<_> = all.iter().map(|entry| entry.usage.input()).collect();
    assert_eq!(inputs.iter().filter(|input| **input == prompt).count(), 3);
    assert_eq!(inputs.iter().sum::<u64>(), 3 * prompt, "{inputs:?}");
    assert!(all.iter().all(|entry| entry.verdict == Verdict::TimedOut));
    let charged = all.iter().filter(|entry| entry.usage.input() > 0);
    assert!(charged.clone().all(|entry| entry.is_estimated));
    assert!(
        charged
            .clone()
            .all(|entry| entry.cost() > Some(Money::ZERO))
    );
}

#[tokio::test(start_paused = true)]
async fn inside_of_a_retry_each_attempt_is_one_record_and_none_is_booked_twice() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new().then(answered()).then(answered());
    let service = layer.layer(script);
    let request = Payload::read(post(OPENAI), 1 << 20).await;
    let call = Call::of(&request).unwrap().clone();
    let (parts, body) = request.into_parts();
    let again = http::Request::from_parts(parts.clone(), body.try_clone().unwrap());
    let first = service
        .clone()
        .oneshot(http::Request::from_parts(parts, body))
        .await
        .unwrap();
    let meter = llm_exchange::Meter::of(&first).cloned();
    text(first).await;
    call.attempts().leave_behind(&call, Verdict::Failed, meter);
    text(service.oneshot(again).await.unwrap()).await;
    let all = entries(&handle).await;
    assert_eq!(
        all.iter().map(|entry| entry.part).collect::<Vec<_>>(),
        [0, 0]
    );
    assert_eq!(handle.stats().cost, Money::from_picos(2 * COST));
}

#[tokio::test(start_paused = true)]
async fn who_is_spending_is_taken_from_the_body_only_where_that_is_trusted() {
    let body = OPENAI.replace("{\"model\"", "{\"user\":\"eve\",\"model\"");
    for (layer, user) in [
        (layer(), None),
        (layer().trust_end_user(), Some(User::new("eve"))),
    ] {
        let handle = layer.handle();
        text(
            layer
                .layer(Script::new().then(answered()))
                .oneshot(post(&body))
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(only(&handle).await.user, user);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_llm_call_passes_through_untouched() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new()
        .collect_bodies()
        .then(Answer::json(200, "{ }"));
    let request = http::Request::post("https://api.openai.com/v1/files")
        .header("accept-encoding", "gzip")
        .body(http_body_util::Full::from("x"))
        .unwrap();
    assert_eq!(Dialect::of(request.method(), request.uri()), None);
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert!(Booked::of(&response).is_none());
    assert_eq!(text(response).await, "{ }");
    assert_eq!(script.seen()[0].headers["accept-encoding"], "gzip");
    assert_eq!(handle.stats().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_asked_not_to_come_and_is_never_charged_nothing() {
    let layer = layer();
    let handle = layer.handle();
    let script = Script::new()
        .then(Answer::json(200, vec![0x1f_u8; 4_000]).header("content-encoding", "gzip"));
    let mut request = post(OPENAI);
    let accepts = "gzip, br".parse().unwrap();
    request.headers_mut().insert("accept-encoding", accepts);
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    let whole = http_body_util::BodyExt::collect(response.into_body()).await;
    assert_eq!(
        whole.unwrap().to_bytes().len(),
        4_000,
        "it passes as it came"
    );
    assert_eq!(script.seen()[0].headers["accept-encoding"], "identity");
    let entry = only(&handle).await;
    assert_eq!(entry.end, Some(llm_exchange::End::Unreadable));
    assert!(entry.is_estimated);
    assert!(entry.usage.output() >= 1_000, "{:?}", entry.usage);
    assert!(entry.cost().unwrap() > llm_exchange::Money::ZERO);
}
