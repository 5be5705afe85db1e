//! What a recorder of the `metrics` facade sees.

use budget_layer::Limit;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::common::*;

#[test]
fn what_is_reserved_used_and_refused_is_counted_by_limit() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    ::metrics::with_local_recorder(&recorder, || {
        in_paused_time(async {
            let layer = daily(300).limit(Limit::for_all().daily().tokens(1).shadow());
            assert_eq!(ask(&layer, answered(), chat("")).await, 200);
            assert_eq!(ask(&layer, answered(), chat("")).await, 429);
            assert_eq!(
                ask(&layer, answered(), chat("").map(|_| "{".into())).await,
                400
            );
        });
    });
    let all = snapshotter.snapshot().into_vec();
    let value = |name: &str, limit: &str| {
        let found = all.iter().find(|(key, ..)| {
            let mut labels = key.key().labels();
            key.key().name() == name && labels.any(|label| label.value() == limit)
        });
        match found.map(|(_, _, _, value)| value) {
            Some(DebugValue::Counter(count)) => *count,
            other => panic!("{name} of {limit}: {other:?}"),
        }
    };
    assert_eq!(value("llm_budget_reserved", DAY), 300);
    assert_eq!(value("llm_budget_used", DAY), 150);
    assert_eq!(value("llm_budget_refused", DAY), 1);
    assert_eq!(value("llm_budget_warned", DAY), 1);
    assert_eq!(value("llm_budget_would_refuse", "all-day-tokens"), 1);
    assert_eq!(value("llm_budget_not_sent", "budget_unreadable"), 1);
    let ratio = all
        .iter()
        .find(|(key, ..)| key.key().name() == "llm_budget_input_ratio");
    assert!(ratio.is_some(), "the prompt was 100 and not 8");
    // no label is a caller's
    let labels = all
        .iter()
        .flat_map(|(key, ..)| key.key().labels().collect::<Vec<_>>());
    for label in labels {
        assert!(!label.value().contains("alice"), "{label:?}");
    }
}

/// How often a limit warned while calls were made.
fn warned(calls: impl Future<Output = ()>) -> u64 {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    ::metrics::with_local_recorder(&recorder, || in_paused_time(calls));
    let all = snapshotter.snapshot().into_vec();
    let found = all
        .iter()
        .find(|(key, ..)| key.key().name() == "llm_budget_warned");
    match found.map(|(_, _, _, value)| value) {
        Some(DebugValue::Counter(count)) => *count,
        Some(other) => panic!("{other:?}"),
        None => 0,
    }
}

#[test]
fn an_account_that_comes_to_its_warning_by_what_a_call_used_more_is_told_of_once() {
    // 29 are reserved, and 150 used
    let call = chat;
    let warned_of = |limit: u64, calls: usize| {
        warned(async move {
            let layer = daily(limit);
            for _ in 0..calls {
                assert_eq!(
                    ask(&layer, answered(), call(r#""max_tokens":20,"#)).await,
                    200
                );
            }
        })
    };
    assert_eq!(warned_of(180, 1), 1);
    assert_eq!(warned_of(250, 1), 0);
    assert_eq!(warned_of(190, 2), 1);
}

#[test]
fn an_account_that_comes_to_its_warning_by_a_stream_is_told_of_once() {
    let streamed = |limit| {
        warned(async move {
            let layer = daily(limit);
            let words = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" one two three four five six seven eight nine ten\"}}]}\n\n";
            let mut events = vec![words; 150];
            events.extend([STOP, USAGE, DONE]);
            assert_eq!(ask(&layer, Answer::sse(events), stream()).await, 200);
        })
    };
    // one step is reserved at first, another one ahead of its end
    assert_eq!(streamed(2_500), 1);
    assert_eq!(streamed(100_000), 0);
}
