//! A call that is sent again: nothing is sent that is not reserved for, and nothing that was left
//! behind is forgotten.

use budget_layer::{Amount, BudgetLayer, Limit};
use fallback_layer::{Chain, Chains, Failover, FallbackLayer, Prefill, Target};
use llm_exchange::Money;
use retry_layer::RetryLayer;
use testkit::drop_everywhere;

use crate::common::*;

fn retry() -> RetryLayer {
    RetryLayer::new().max_retries(3)
}

/// A stream that says something and fails before a retry would be too late.
fn failing(text: &str) -> Answer {
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    let usage = format!("data: {{\"choices\":[],\"usage\":{text}}}\n\n");
    let error = "data: {\"error\":{\"type\":\"server_error\",\"message\":\"no\"}}\n\n";
    Answer::sse([role.to_owned(), usage, error.to_owned()])
}

const SPENT: &str = r#"{"prompt_tokens":40,"completion_tokens":60}"#;

#[tokio::test(start_paused = true)]
async fn attempts_that_cost_nothing_need_no_more_than_what_is_reserved() {
    let store = Far::new(SECOND);
    let layer = BudgetLayer::new(store.clone()).limit(Limit::per_user().daily().tokens(4_105));
    let script = Script::new()
        .then(Answer::status(503))
        .then(Answer::error("reset"))
        .then(answered());
    let stack = layer.layer(retry().layer(script.clone()));
    let response = stack.oneshot(chat("")).await.unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (200, 3));
    text(response).await;
    assert_eq!(store.asked(), (1, 0, 1));
    assert_eq!(alice(&layer.handle()).await, (150, 0));
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_spent_is_reserved_for_before_the_next_is_sent_and_charged() {
    for far in [NOW, SECOND] {
        let store = Far::new(far);
        let layer = BudgetLayer::new(store.clone()).limit(Limit::per_user().daily().tokens(9_000));
        let handle = layer.handle();
        let script = Script::new().then(failing(SPENT)).then(Answer::hang());
        let stack = layer.layer(retry().layer(script.clone()));
        let mut call = Box::pin(stack.oneshot(stream()));
        let late = tokio::time::timeout(SECOND * 30, call.as_mut()).await;
        assert!(late.is_err());
        assert_eq!(script.calls(), 2);
        // the attempt that runs, and the one that was left behind
        assert_eq!(alice(&handle).await, (0, INPUT + 1_024 + 100));
        assert_eq!(store.asked(), (1, 1, 0));
        drop(call);
        // the second one's prompt was most likely read
        assert_eq!(alice(&handle).await, (100 + INPUT, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_does_not_fit_is_not_sent() {
    for far in [NOW, SECOND] {
        let store = Far::new(far);
        let layer = BudgetLayer::new(store.clone())
            .limit(Limit::per_user().daily().tokens(INPUT + 1_024 + 99));
        let script = Script::new().then(failing(SPENT)).then(streamed());
        let stack = layer.layer(retry().layer(script.clone()));
        let response = stack.oneshot(stream()).await.unwrap();
        assert_eq!((response.status().as_u16(), script.calls()), (503, 1));
        text(response).await;
        assert_eq!(alice(&layer.handle()).await, (100, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_its_attempts_is_no_larger_than_a_request_may_be() {
    let layer = BudgetLayer::default().limit(Limit::per_request().tokens(INPUT + 1_024 + 99));
    let script = Script::new().then(failing(SPENT)).then(streamed());
    let stack = layer.layer(retry().layer(script.clone()));
    let response = stack.oneshot(stream()).await.unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (503, 1));
}

fn chains() -> FallbackLayer {
    let chain = Chain::new().then("dear").then("m");
    FallbackLayer::new(Chains::new().default_chain(chain)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dearer_model_is_reserved_for_before_it_is_asked_and_skipped_where_it_does_not_fit() {
    // the call costs $0.010009 at the most; ten times that by the dear model
    for (limit, by, reserved) in [("0.2", "dear", "0.10009"), ("0.1", "m", "0.010009")] {
        let limit = Limit::per_user().daily().money(limit.parse().unwrap());
        let layer = BudgetLayer::default().limit(limit).priced_by(prices);
        let handle = layer.handle();
        let script = Script::new()
            .then(answered().after(SECOND))
            .collect_bodies();
        let stack = layer.layer(chains().layer(script.clone()));
        let mut call = Box::pin(stack.oneshot(chat(r#""max_tokens":1000,"#)));
        assert!(is_pending(call.as_mut()).await);
        assert_eq!(sent(&script)["model"], by);
        let account = async || handle.account("user-day-usd", "alice").await.unwrap();
        let reserved: Money = reserved.parse().unwrap();
        assert_eq!(account().await.reserved, Amount::Money(reserved));
        let response = call.await.unwrap();
        assert_eq!(response.headers()["x-llm-model"], by);
        text(response).await;
        assert_eq!(account().await.reserved, Amount::Money(Money::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dearer_model_left_behind_is_charged_at_its_own_price() {
    let limit = Limit::per_user().daily().money(Money::usd(1));
    let layer = BudgetLayer::default()
        .limit(limit)
        .limit(Limit::per_user().daily().tokens(100_000))
        .priced_by(prices);
    let script = Script::new().then(failing(SPENT)).then(streamed());
    let stack = layer.layer(chains().layer(script.clone()));
    text(stack.oneshot(stream()).await.unwrap()).await;
    assert_eq!(script.calls(), 2);
    let handle = layer.handle();
    assert_eq!(alice(&handle).await, (250, 0));
    let account = handle.account("user-day-usd", "alice").await.unwrap();
    // 40 in and 60 out at ten times the price, 100 in and 50 out at the price
    assert_eq!(account.used, Amount::Money("0.00700".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn inside_of_a_retry_each_attempt_is_reserved_and_charged_by_itself() {
    let layer = daily(9_000);
    let script = Script::new().then(failing(SPENT)).then(streamed());
    let stack = retry().layer(layer.layer(script.clone()));
    text(stack.oneshot(stream()).await.unwrap()).await;
    assert_eq!(script.calls(), 2);
    assert_eq!(alice(&layer.handle()).await, (250, 0));
    let stats = layer.handle().stats();
    assert_eq!((stats.reserved, stats.settled), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_a_retry_further_out_cuts_off_is_charged_once() {
    let layer = daily(9_000);
    let hello = ScriptedBody::new()
        .data(HELLO.replace("Hello there", ""))
        .hang();
    let script = Script::new().then(Answer::stream(hello)).then(streamed());
    let stack = retry()
        .attempt_timeout(SECOND)
        .layer(layer.layer(script.clone()));
    text(stack.oneshot(stream()).await.unwrap()).await;
    assert_eq!(script.calls(), 2);
    let (used, reserved) = alice(&layer.handle()).await;
    assert_eq!((used, reserved), (150 + INPUT, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_sent_again() {
    let layer = daily(10);
    let script = Script::new();
    let stack = retry().layer(layer.layer(script.clone()));
    let response = stack.oneshot(chat("")).await.unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (429, 0));
    assert_eq!(layer.handle().stats().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn wherever_a_call_of_several_attempts_is_dropped_all_of_them_are_charged_once() {
    for far in [NOW, SECOND] {
        drop_everywhere(
            async || {
                let script = Script::new()
                    .then(failing(SPENT).after(SECOND))
                    .then(failing(SPENT).after(SECOND))
                    .then(streamed().after(SECOND));
                let store = Far::new(far);
                let layer =
                    BudgetLayer::new(store.clone()).limit(Limit::per_user().daily().tokens(9_000));
                let stack = layer.layer(retry().layer(script.clone()));
                let call = stack.oneshot(stream());
                ((script, store, layer.handle()), call)
            },
            async |(script, store, handle), at| {
                let (used, reserved) = alice(&handle).await;
                assert_eq!(reserved, 0, "{at:?}");
                assert!(used <= 9_000);
                // those that are over for certain, and the one that runs
                let over = script.calls().saturating_sub(1) as u64;
                assert!(used >= over * 100, "{at:?}: {used}");
                assert!(used <= script.calls() as u64 * 150, "{at:?}: {used}");
                if at.complete {
                    assert_eq!(used, 350, "{at:?}");
                }
                let (_, _, settled) = store.asked();
                assert_eq!(settled, usize::from(script.calls() > 0), "{at:?}");
            },
        )
        .await;
    }
}

/// Begins at once, and says something only after this.
fn silent(pause: std::time::Duration) -> Answer {
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    let body = ScriptedBody::new().data(role).wait(pause);
    Answer::stream(body.data(HELLO).data(STOP).data(USAGE).data(DONE))
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_asked_beside_another_is_reserved_for_beside_it() {
    let both = 2 * (INPUT + 1_024);
    for (limit, calls) in [(both, 2), (both - 1, 1)] {
        let layer = daily(limit);
        let handle = layer.handle();
        let chain = Chain::new().then("m").then("other");
        let chains = Chains::new().default_chain(chain);
        let hedged = FallbackLayer::new(chains).unwrap().hedge_after(SECOND * 2);
        let script = Script::new()
            .then(silent(SECOND * 9))
            .then(silent(SECOND * 3))
            .collect_bodies();
        let stack = layer.layer(hedged.layer(script.clone()));
        let mut call = Box::pin(stack.oneshot(stream()));
        assert!(
            tokio::time::timeout(SECOND * 4, call.as_mut())
                .await
                .is_err()
        );
        assert_eq!(script.calls(), calls);
        let reserved = calls as u64 * (INPUT + 1_024);
        assert_eq!(alice(&handle).await, (0, reserved));
        text(call.await.unwrap()).await;
        let (used, reserved) = alice(&handle).await;
        assert_eq!(reserved, 0);
        // who was outrun has read the prompt
        assert_eq!(used, 150 + (calls as u64 - 1) * INPUT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_on_elsewhere_is_one_call_of_which_each_part_is_charged() {
    let takes = |model| Target::model(model).prefill(Prefill::LastMessage);
    let go_on = || {
        let chain = Chain::new().then(takes("m")).then(takes("other"));
        FallbackLayer::new(Chains::new().default_chain(chain))
            .unwrap()
            .failover(Failover::new())
    };
    let chunk = |choice: &str| {
        format!(
            "data: {{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,{choice}}}]}}\n\n"
        )
    };
    let role = chunk(r#""delta":{"role":"assistant","content":""},"finish_reason":null"#);
    let words = |words: &str| {
        chunk(&format!(
            r#""delta":{{"content":"{words}"}},"finish_reason":null"#
        ))
    };
    let ten = " one two three four five six seven eight nine ten";
    let breaks = || {
        let body = ScriptedBody::new().data(role.clone());
        let body = (0..20).fold(body, |body, _| body.data(words(ten)));
        Answer::stream(body.error("reset"))
    };
    let goes_on = || {
        let stop = chunk(r#""delta":{},"finish_reason":"stop""#);
        Answer::sse([
            role.clone(),
            words(" and so on"),
            stop,
            USAGE.into(),
            DONE.into(),
        ])
    };
    let layer = daily(100_000);
    let script = Script::new().then(breaks()).then(goes_on());
    let stack = layer.layer(go_on().layer(script.clone()));
    let passed = text(stack.oneshot(stream()).await.unwrap()).await;
    assert!(passed.contains("and so on") && passed.contains("[DONE]"));
    assert_eq!(script.calls(), 2);
    let (used, reserved) = alice(&layer.handle()).await;
    assert_eq!(reserved, 0);
    // 200 tokens at a quarter more and their prompt, and what the second part says of itself
    assert!(
        (150 + INPUT + 200..=150 + INPUT + 260).contains(&used),
        "{used}"
    );

    // what does not fit is not gone on with
    let layer = daily(1_100);
    let script = Script::new().then(breaks()).then(goes_on());
    let stack = layer.layer(go_on().layer(script.clone()));
    let response = stack.oneshot(stream()).await.unwrap();
    let _ = http_body_util::BodyExt::collect(response.into_body()).await;
    assert_eq!(script.calls(), 1);
    let (used, reserved) = alice(&layer.handle()).await;
    assert_eq!(reserved, 0);
    assert!((INPUT + 200..=INPUT + 260).contains(&used), "{used}");
}

#[cfg(feature = "metrics")]
#[test]
fn what_is_reserved_for_a_further_attempt_is_counted_and_so_is_one_that_is_not_sent() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    let first = INPUT + 1_024;
    for (limit, reserved, not_sent) in [(9_000, first + 100, 0), (first + 99, first, 1)] {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        ::metrics::with_local_recorder(&recorder, || {
            in_paused_time(async {
                let layer = BudgetLayer::default().limit(Limit::per_user().daily().tokens(limit));
                let script = Script::new().then(failing(SPENT)).then(streamed());
                let stack = layer.layer(retry().layer(script));
                text(stack.oneshot(stream()).await.unwrap()).await;
            });
        });
        let all = snapshotter.snapshot().into_vec();
        let count = |name: &str| {
            let found = all.iter().find(|(key, ..)| key.key().name() == name);
            match found.map(|(_, _, _, value)| value) {
                Some(DebugValue::Counter(count)) => *count,
                _ => 0,
            }
        };
        assert_eq!(count("llm_budget_reserved"), reserved, "{limit}");
        assert_eq!(count("llm_budget_not_sent"), not_sent, "{limit}");
    }
}
