//! What a recorder of the `metrics` facade sees.

use std::{collections::BTreeSet, future::Future};

use cost_layer::metrics::DURATIONS;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::{Layer, ServiceExt};

use crate::common::*;

/// A metric: its name, its labels by their names, and what was recorded.
struct Seen {
    name: String,
    labels: Vec<(String, String)>,
    value: DebugValue,
}

impl Seen {
    fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }

    fn histogram(&self) -> Vec<f64> {
        match &self.value {
            DebugValue::Histogram(values) => values.iter().map(|value| value.0).collect(),
            other => panic!("{} is no histogram: {other:?}", self.name),
        }
    }
}

/// Runs calls in paused time under a recorder of their own.
fn recorded(calls: impl Future<Output = ()>) -> Vec<Seen> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    ::metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            calls.await;
            // they are told with the records that are carried on
            tokio::time::sleep(SECOND).await;
        });
    });
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, _, _, value)| Seen {
        name: key.key().name().to_owned(),
        labels: key
            .key()
            .labels()
            .map(|label| (label.key().to_owned(), label.value().to_owned()))
            .collect(),
        value,
    })
    .collect()
}

/// The only one of this name.
fn only_seen<'a>(all: &'a [Seen], name: &str) -> &'a Seen {
    let mut found = all.iter().filter(|seen| seen.name == name);
    let first = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "two of {name}");
    first
}

fn counter(all: &[Seen], name: &str) -> u64 {
    match only_seen(all, name).value {
        DebugValue::Counter(count) => count,
        ref other => panic!("{name} is no counter: {other:?}"),
    }
}

async fn call(layer: &cost_layer::CostLayer, answer: Answer, request: &str) {
    let service = layer.layer(Script::new().then(answer));
    text(service.oneshot(post(request)).await.unwrap()).await;
}

#[test]
fn a_stream_is_recorded_by_the_names_of_the_conventions() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":100,\"prompt_tokens_details\":{\"cached_tokens\":600,\"cache_write_tokens\":50},\"completion_tokens_details\":{\"reasoning_tokens\":40}}}\n\n";
    let all = recorded(async {
        let body = ScriptedBody::new()
            .wait(SECOND)
            .data(HELLO)
            .wait(SECOND * 3)
            .data(STOP)
            .data(usage)
            .data(DONE);
        call(&layer(), Answer::stream(body), STREAM).await;
    });
    let names: BTreeSet<_> = all.iter().map(|seen| seen.name.as_str()).collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        [
            "gen_ai.client.inference.operation.input_tokens",
            "gen_ai.client.inference.operation.output_tokens",
            "gen_ai.client.inference.usage.cache_read.input_tokens",
            "gen_ai.client.inference.usage.cache_write.input_tokens",
            "gen_ai.client.inference.usage.input_tokens",
            "gen_ai.client.inference.usage.output_tokens",
            "gen_ai.client.inference.usage.reasoning.output_tokens",
            "gen_ai.client.operation.duration",
            "gen_ai.client.operation.time_per_output_chunk",
            "gen_ai.client.operation.time_to_first_chunk",
            "llm_cost_nano_usd",
            "llm_cost_saved_nano_usd",
        ]
    );
    // cached and written tokens are inside of the input, reasoning inside of the output
    for (kind, tokens) in [
        ("input_tokens", 1_000),
        ("cache_read.input_tokens", 600),
        ("cache_write.input_tokens", 50),
        ("output_tokens", 100),
        ("reasoning.output_tokens", 40),
    ] {
        let name = format!("gen_ai.client.inference.usage.{kind}");
        assert_eq!(counter(&all, &name), tokens, "{name}");
    }
    // 350 at $2, 600 at $0.2, 50 at $2.5, 100 at $10, for a million
    assert_eq!(counter(&all, "llm_cost_nano_usd"), 1_945_000);
    for (name, seconds) in [
        ("gen_ai.client.operation.duration", 4.0),
        ("gen_ai.client.operation.time_to_first_chunk", 1.0),
        ("gen_ai.client.operation.time_per_output_chunk", 3.0 / 99.0),
    ] {
        let seen = only_seen(&all, name);
        assert!(DURATIONS.contains(&name));
        let [value] = seen.histogram()[..] else {
            panic!("{name} was not recorded once")
        };
        assert!((value - seconds).abs() < 1e-6, "{name}: {value}");
        assert_eq!(seen.label("gen_ai.operation.name"), Some("chat"));
        assert_eq!(seen.label("gen_ai.provider.name"), Some("openai"));
        assert_eq!(seen.label("gen_ai.request.model"), Some("gpt-6-sol"));
        let served = seen.label("gen_ai.response.model");
        assert_eq!(served, Some("gpt-6-sol-2026-09-22"));
        assert_eq!(seen.label("error.type"), None);
    }
    let shown: Vec<_> = all.iter().flat_map(|seen| &seen.labels).collect();
    assert!(!format!("{shown:?}").contains("canary"), "{shown:?}");
}

#[test]
fn a_failure_says_of_what_kind_and_an_unknown_price_is_counted_apart() {
    let all = recorded(async {
        let layer = layer();
        call(&layer, Answer::json(429, r#"{"error":{}}"#), OPENAI).await;
    });
    let failed = only_seen(&all, "gen_ai.client.operation.duration");
    assert_eq!(failed.label("error.type"), Some("throttled"));
    assert_eq!(counter(&all, "llm_cost_nano_usd"), 0);

    let all = recorded(async {
        let used = r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;
        let request = OPENAI.replace("gpt-6-sol", "who-knows");
        call(&layer(), Answer::json(200, used), &request).await;
    });
    assert_eq!(counter(&all, "llm_cost_unpriced"), 1);
    assert!(all.iter().all(|seen| seen.name != "llm_cost_nano_usd"));
}

#[test]
fn the_older_name_comes_beside_the_newer_where_it_is_asked_for() {
    let all = recorded(async { call(&layer().old_metric_names(), answered(), OPENAI).await });
    let old = all
        .iter()
        .filter(|seen| seen.name == "gen_ai.client.token.usage");
    let mut kinds: Vec<_> = old
        .map(|seen| (seen.label("gen_ai.token.type").unwrap(), seen.histogram()))
        .collect();
    kinds.sort_by_key(|(kind, _)| *kind);
    assert_eq!(kinds, [("input", vec![1_000.0]), ("output", vec![100.0])]);
    assert_eq!(
        counter(&all, "gen_ai.client.inference.usage.input_tokens"),
        1_000
    );
}

#[test]
fn however_many_models_callers_name_the_values_of_labels_are_bounded() {
    let all = recorded(async {
        let layer = layer().most_models(4);
        for number in 0..100 {
            let request = OPENAI.replace("gpt-6-sol", &format!("model-{number}"));
            let answer = format!(r#"{{"model":"served-{number}","choices":[]}}"#);
            call(&layer, Answer::json(200, answer), &request).await;
        }
    });
    let mut names = BTreeSet::new();
    let mut calls = 0;
    for seen in &all {
        if seen.name == "gen_ai.client.operation.duration" {
            calls += seen.histogram().len();
        }
        for label in ["gen_ai.request.model", "gen_ai.response.model"] {
            names.extend(seen.label(label));
        }
    }
    assert_eq!(calls, 100, "those that are not named are counted too");
    assert!(names.contains("other"));
    // three kinds of names, of four each
    assert_eq!(names.len(), 4 * 3 + 1, "{names:?}");
}

#[test]
fn names_that_no_provider_answers_to_take_no_places_of_labels() {
    let all = recorded(async {
        let layer = layer().most_models(4);
        for number in 0..100 {
            let request = OPENAI.replace("gpt-6-sol", &format!("made-up-{number}"));
            let answer = Answer::json(404, r#"{"error":{"message":"no such model"}}"#);
            call(&layer, answer, &request).await;
        }
        call(&layer, answered(), OPENAI).await;
    });
    let asked = all
        .iter()
        .filter_map(|seen| seen.label("gen_ai.request.model"));
    let asked: BTreeSet<_> = asked.collect();
    assert_eq!(
        asked.into_iter().collect::<Vec<_>>(),
        ["gpt-6-sol", "other"]
    );
}
