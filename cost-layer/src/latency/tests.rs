use std::{thread, time::Duration};

use proptest::prelude::*;

use super::*;

fn sample(micros: u64) -> Sample {
    Sample {
        outcome: Outcome::Ok,
        total: Duration::from_micros(micros),
        first_content: Some(Duration::from_micros(micros / 2)),
        per_token: None,
    }
}

impl Recorder {
    /// One sample, now.
    fn one(&self, provider: &str, model: &str, sample: Sample) -> Vec<TooSlow> {
        self.record(std::iter::once((provider, model, sample, self.second())))
    }
}

#[test]
fn samples_of_many_threads_are_all_there() {
    let recorder = Recorder::new(32, None);
    thread::scope(|scope| {
        for thread in 0..8_u64 {
            let recorder = &recorder;
            scope.spawn(move || {
                for n in 0..1_000 {
                    recorder.one("p", "m", sample(thread * 1_000 + n));
                    if n % 100 == 0 {
                        recorder.each(Window::AllTime);
                    }
                }
            });
        }
    });
    let latency = recorder.of_model("m", Window::AllTime).unwrap();
    assert_eq!(latency.ok.total.count, 8_000);
    assert_eq!(latency.ok.first_content.count, 8_000);
    assert_eq!(latency.ok.per_token.count, 0);
    assert_eq!(latency.failed.total.count, 0);
}

#[test]
fn beyond_the_bound_all_models_are_one() {
    let recorder = Recorder::new(2, None);
    for model in 0..1_000 {
        recorder.one("p", &format!("made-up-{model}"), sample(10));
    }
    let all = recorder.each(Window::AllTime);
    let names: Vec<_> = all.iter().map(|latency| latency.model.as_str()).collect();
    assert_eq!(names, ["made-up-0", "made-up-1", "other"]);
    assert_eq!(all[2].ok.total.count, 998);
}

#[test]
fn misspelt_models_take_no_places_from_those_that_answer() {
    let recorder = Recorder::new(2, None);
    let failed = Sample {
        outcome: Outcome::Failed,
        first_content: None,
        ..sample(10)
    };
    for model in 0..1_000 {
        recorder.one("p", &format!("made-up-{model}"), failed);
    }
    recorder.one("p", "real", sample(10));
    recorder.one("p", "real", failed);
    let real = recorder.of_model("real", Window::AllTime).unwrap();
    assert_eq!((real.ok.total.count, real.failed.total.count), (1, 1));
    let other = recorder.of_model("other", Window::AllTime).unwrap();
    assert_eq!(other.failed.total.count, 1_000);
}

#[test]
fn a_model_is_summed_over_its_providers_and_outcomes_stay_apart() {
    let recorder = Recorder::new(32, None);
    recorder.one("a", "m", sample(1_000));
    recorder.one("b", "m", sample(9_000));
    for outcome in [Outcome::Failed, Outcome::Abandoned] {
        recorder.one(
            "a",
            "m",
            Sample {
                outcome,
                ..sample(5)
            },
        );
    }
    assert_eq!(recorder.each(Window::AllTime).len(), 2);
    let latency = recorder.of_model("m", Window::AllTime).unwrap();
    assert_eq!((latency.ok.total.count, latency.failed.total.count), (2, 1));
    assert_eq!(latency.abandoned.total.count, 1);
    assert!(recorder.of_model("n", Window::AllTime).is_none());
}

#[tokio::test(start_paused = true)]
async fn windows_slide_while_all_time_stays() {
    let recorder = Recorder::new(32, None);
    let count = |window| {
        recorder
            .of_model("m", window)
            .map_or(0, |latency| latency.ok.total.count)
    };
    for _ in 0..90 {
        recorder.one("p", "m", sample(50));
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    assert_eq!(count(Window::AllTime), 90);
    assert!(
        (1..=2).contains(&count(Window::Minute)),
        "{}",
        count(Window::Minute)
    );
    assert!((5..=6).contains(&count(Window::FiveMinutes)));
    assert!((60..=70).contains(&count(Window::Hour)));
    tokio::time::advance(Duration::from_secs(4_200)).await;
    assert_eq!((count(Window::Hour), count(Window::AllTime)), (0, 90));
}

#[tokio::test(start_paused = true)]
async fn a_slow_95th_percentile_is_told_once_there_are_enough_to_tell() {
    let recorder = Recorder::new(32, Some(Duration::from_millis(10)));
    let mut told = Vec::new();
    for n in 0..40_u64 {
        told.extend(recorder.one("p", "m", sample(50_000)));
        told.extend(recorder.one("p", "fast", sample(500)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(n >= 19 || told.is_empty(), "{n}");
    }
    assert!(!told.is_empty());
    assert!(
        told.iter()
            .all(|slow| slow.model == "m" && slow.p95 >= Duration::from_millis(50))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn quantiles_are_within_one_percent_of_the_exact_ones(
        mut values in proptest::collection::vec(1_u64..100_000_000, 1..2_000),
    ) {
        let recorder = Recorder::new(32, None);
        for value in &values {
            recorder.one("p", "m", sample(*value));
        }
        values.sort_unstable();
        let latency = recorder.of_model("m", Window::AllTime).unwrap().ok.total;
        for (quantile, found) in [(0.5, latency.p50), (0.9, latency.p90), (0.95, latency.p95), (0.99, latency.p99)] {
            // the smallest value that so many are not above
            let rank = (quantile * values.len() as f64).ceil() as usize;
            let exact = values[rank.max(1) - 1] as f64;
            let found = found.as_micros() as f64;
            prop_assert!((found - exact).abs() <= exact * 0.01 + 1.0, "{quantile}: {found} {exact}");
        }
    }
}

#[cfg(feature = "hdr")]
mod merged {
    use std::time::SystemTime;

    use super::*;

    fn export_of(recorder: &Recorder) -> String {
        export(recorder, SystemTime::UNIX_EPOCH, Duration::from_secs(9))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_exports_of_many_nodes_give_the_quantiles_of_one(
            values in proptest::collection::vec((0_usize..4, 0_usize..3, 1_u64..100_000_000), 1..500),
        ) {
            let models = ["gpt-6-sol", "a/b c,d\ne", "größe"];
            let nodes: Vec<_> = (0..4).map(|_| Recorder::new(32, None)).collect();
            let one = Recorder::new(32, None);
            for (node, model, value) in values {
                for recorder in [&nodes[node], &one] {
                    recorder.one("api.example:443", models[model], sample(value));
                }
            }
            let mut merged = MergedLatency::new();
            for node in &nodes {
                merged.add(&export_of(node)).unwrap();
            }
            prop_assert_eq!(merged.latencies(), one.each(Window::AllTime));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = MergedLatency::new().add(&text);
        }

        #[test]
        fn a_damaged_export_is_refused_or_read_and_never_panics(at in 0_usize..1_000, byte in 32_u8..127) {
            let recorder = Recorder::new(32, None);
            (1..200).for_each(|n| drop(recorder.one("p", "m", sample(n * 977))));
            let mut log = export_of(&recorder).into_bytes();
            let at = at % log.len();
            log[at] = byte;
            let _ = MergedLatency::new().add(&String::from_utf8(log).unwrap());
        }
    }
}
