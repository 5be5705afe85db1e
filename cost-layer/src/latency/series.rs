//! All models' latencies, in one place: callers reach it once for many samples.

use std::{collections::HashMap, hash::BuildHasher, time::Duration};

use foldhash::fast::RandomState;

use super::slices::{Counts, Measure, Window, counts};

/// What a call's time is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Failed,
    /// The caller went away. How long the answer would have taken is not known.
    Abandoned,
}

/// One call, measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) outcome: Outcome,
    pub(crate) total: Duration,
    pub(crate) first_content: Option<Duration>,
    pub(crate) per_token: Option<Duration>,
}

/// Quantiles of a time, each within 1 %.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// Half took at most this long.
    pub p50: Duration,
    /// Nine tenths took at most this long.
    pub p90: Duration,
    /// 95 of 100 took at most this long.
    pub p95: Duration,
    /// 99 of 100 took at most this long.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}

impl Quantiles {
    pub(crate) fn of(counts: &Counts) -> Self {
        if counts.is_empty() {
            return Self::default();
        }
        let at = |quantile| Duration::from_micros(counts.value_at_quantile(quantile));
        Self {
            count: counts.len(),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            max: Duration::from_micros(counts.max()),
        }
    }
}

/// How long calls took that came to one kind of end.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the call to the end of its answer.
    pub total: Quantiles,
    /// From the call to the first content: text, reasoning or a tool call.
    pub first_content: Quantiles,
    /// From one generated token to the next, on average over an answer; of streams.
    pub per_token: Quantiles,
}

/// How long the calls of one model at one provider took.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The provider's host. Empty: of all.
    pub provider: String,
    /// The model, or `other` beyond the bound on models, and before a model's first answer.
    pub model: String,
    /// Calls that were answered.
    pub ok: Timings,
    /// Calls that failed: of the provider's doing or the caller's.
    pub failed: Timings,
    /// Calls whose caller went away before the end, as far as they came: they are in no other number.
    pub abandoned: Timings,
}

/// The model beyond the bound on models.
pub(crate) const OTHER: &str = "other";

pub(crate) struct Store {
    /// by a hash of provider and model
    names: HashMap<u64, u32, RandomState>,
    series: Vec<Series>,
    most: usize,
}

struct Series {
    provider: Box<str>,
    model: Box<str>,
    /// by outcome, and of each the total, the first content, the time of a token
    measures: [[Measure; 3]; 3],
}

impl Store {
    pub(crate) fn new(most: usize) -> Self {
        let other = Series::new("", OTHER);
        Self {
            names: HashMap::default(),
            series: vec![other],
            most,
        }
    }

    /// The number of a series, a new one as long as there are not too many; 0 is all others. A new one
    /// begins with an answer, whole or not: names that no provider has would take all the places.
    pub(crate) fn number(&mut self, provider: &str, model: &str, sample: &Sample) -> u32 {
        let key = self.names.hasher().hash_one((provider, model));
        if let Some(number) = self.names.get(&key) {
            return *number;
        }
        let answers = sample.outcome == Outcome::Ok || sample.first_content.is_some();
        if !answers || self.series.len() > self.most {
            return 0;
        }
        let number = self.series.len() as u32;
        self.series.push(Series::new(provider, model));
        self.names.insert(key, number);
        number
    }

    pub(crate) fn record(&mut self, number: u32, sample: &Sample, second: u64) {
        let Some(series) = self.series.get_mut(number as usize) else {
            return;
        };
        let measures = &mut series.measures[sample.outcome as usize];
        let times = [Some(sample.total), sample.first_content, sample.per_token];
        for (measure, time) in measures.iter_mut().zip(times) {
            if let Some(time) = time {
                let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                measure.record(micros, second);
            }
        }
    }

    /// The names and the 95th percentile of a series' successes over the last five minutes, if there
    /// were enough to tell.
    pub(crate) fn p95(
        &self,
        number: u32,
        least: u64,
        second: u64,
    ) -> Option<(&str, &str, Duration)> {
        let series = self.series.get(number as usize)?;
        let mut sum = counts();
        series.measures[Outcome::Ok as usize][0].add_to(&mut sum, Window::FiveMinutes, second);
        let p95 = Duration::from_micros(sum.value_at_quantile(0.95));
        (sum.len() >= least).then_some((&*series.provider, &*series.model, p95))
    }

    /// Each series by itself.
    pub(crate) fn each(&self, window: Window, second: u64) -> Vec<Latency> {
        let mut all: Vec<_> = self
            .series
            .iter()
            .map(|series| Latency {
                provider: (*series.provider).into(),
                ..together(&series.model, [series], window, second)
            })
            .filter(|latency| !latency.is_empty())
            .collect();
        all.sort_unstable_by(|a, b| (&a.model, &a.provider).cmp(&(&b.model, &b.provider)));
        all
    }

    /// One model at all its providers.
    pub(crate) fn of_model(&self, model: &str, window: Window, second: u64) -> Option<Latency> {
        let series = self.series.iter().filter(|series| *series.model == *model);
        Some(together(model, series, window, second)).filter(|latency| !latency.is_empty())
    }

    /// The whole of each measure that has values: of whom, and what.
    #[cfg_attr(not(feature = "hdr"), allow(dead_code, reason = "for the export"))]
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Name<'_>, Counts)> {
        self.series.iter().flat_map(|series| {
            let all = series.measures.iter().enumerate();
            all.flat_map(move |(outcome, measures)| {
                measures
                    .iter()
                    .enumerate()
                    .filter_map(move |(measure, kept)| {
                        let mut sum = counts();
                        kept.add_to(&mut sum, Window::AllTime, 0);
                        let name = Name {
                            provider: &series.provider,
                            model: &series.model,
                            outcome,
                            measure,
                        };
                        (!sum.is_empty()).then_some((name, sum))
                    })
            })
        })
    }
}

/// Which of all measures one is.
#[cfg_attr(not(feature = "hdr"), allow(dead_code, reason = "for the export"))]
pub(crate) struct Name<'a> {
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    pub(crate) outcome: usize,
    pub(crate) measure: usize,
}

impl Series {
    fn new(provider: &str, model: &str) -> Self {
        Self {
            provider: provider.into(),
            model: model.into(),
            measures: Default::default(),
        }
    }
}

impl Latency {
    fn is_empty(&self) -> bool {
        [&self.ok, &self.failed, &self.abandoned]
            .iter()
            .all(|timings| timings.total.count == 0)
    }

    pub(crate) fn timings_mut(&mut self) -> [&mut Timings; 3] {
        [&mut self.ok, &mut self.failed, &mut self.abandoned]
    }
}

impl Timings {
    pub(crate) fn quantiles_mut(&mut self) -> [&mut Quantiles; 3] {
        [
            &mut self.total,
            &mut self.first_content,
            &mut self.per_token,
        ]
    }
}

fn together<'a>(
    model: &str,
    series: impl IntoIterator<Item = &'a Series>,
    window: Window,
    second: u64,
) -> Latency {
    let series: Vec<_> = series.into_iter().collect();
    let mut latency = Latency {
        model: model.into(),
        ..Latency::default()
    };
    for (outcome, timings) in latency.timings_mut().into_iter().enumerate() {
        for (measure, quantiles) in timings.quantiles_mut().into_iter().enumerate() {
            let mut sum = counts();
            for one in &series {
                one.measures[outcome][measure].add_to(&mut sum, window, second);
            }
            *quantiles = Quantiles::of(&sum);
        }
    }
    latency
}
