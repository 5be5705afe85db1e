//! Sums, histograms and curves by the model that callers asked for, whichever model answered.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use llm_exchange::Money;
use serde_json::{Value, json};

use super::{
    line::{Line, dollars},
    recent::{Quantiles, Recent},
};
use crate::exposition::Exposition;

/// Models with a row of their own; further ones are `other`, as callers choose the names.
const MOST: usize = 32;
const OTHER: &str = "other";

/// Upper bounds of a histogram's bars in seconds, those of OpenTelemetry's GenAI conventions for an
/// operation's duration. One more bar is for what took longer.
const BOUNDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

#[derive(Debug, Default)]
pub(super) struct Models(BTreeMap<Box<str>, Model>);

#[derive(Debug, Default)]
struct Model {
    requests: u64,
    errors: u64,
    left: u64,
    retries: u64,
    fell_back: u64,
    cached: u64,
    refused: u64,
    input_tokens: u64,
    output_tokens: u64,
    cost: Money,
    saved: Money,
    total: Histogram,
    first_token: Histogram,
    recent: Recent,
}

#[derive(Debug, Default)]
struct Histogram([u64; BOUNDS.len() + 1]);

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bar = BOUNDS.partition_point(|bound| seconds > *bound);
        if let Some(count) = self.0.get_mut(bar) {
            *count += 1;
        }
    }
}

impl Models {
    pub(super) fn add(&mut self, line: &Line, now: SystemTime) {
        let is_known = self.0.contains_key(&line.model) || self.0.len() < MOST;
        let name = if is_known { &*line.model } else { OTHER };
        let model = self.0.entry(name.into()).or_default();
        model.requests += 1;
        // a caller who left is no failure of the model
        let is_left = line.is_left();
        model.left += u64::from(is_left);
        model.errors += u64::from(!line.is_ok && !is_left);
        model.retries += u64::from(line.retries);
        model.fell_back += u64::from(line.fell_back());
        model.cached += u64::from(line.is_cached());
        model.refused += u64::from(line.is_refused());
        model.saved = model.saved.saturating_add(line.saved);
        if let Some(cost) = line.cost {
            model.cost = model.cost.saturating_add(cost);
        }
        if line.is_cached() {
            return;
        }
        model.input_tokens += line.input_tokens;
        model.output_tokens += line.output_tokens;
        // how fast a model is, is told by what it answered
        if line.is_ok {
            model.recent.add(now, line.total, line.first_content);
            model.total.add(line.total);
            if let Some(first) = line.first_content {
                model.first_token.add(first);
            }
        }
    }

    /// How long the answers of the last minute took, of those with the most calls.
    pub(super) fn busiest(&mut self, most: usize, now: SystemTime) -> Vec<(Box<str>, Quantiles)> {
        let mut busiest: Vec<_> = self.0.iter_mut().collect();
        busiest.sort_by_key(|(_, model)| std::cmp::Reverse(model.requests));
        busiest.truncate(most);
        let times = busiest.into_iter();
        times
            .filter_map(|(name, model)| Some((name.clone(), model.recent.quantiles(now)?)))
            .collect()
    }

    pub(super) fn metrics(&self, text: &mut Exposition) {
        for (name, model) in &self.0 {
            for (metric, count) in [
                ("llm_model_calls_total", model.requests),
                ("llm_model_errors_total", model.errors),
                ("llm_model_left_total", model.left),
                ("llm_model_retries_total", model.retries),
                ("llm_model_fallbacks_total", model.fell_back),
                ("llm_model_cached_total", model.cached),
                ("llm_model_refused_total", model.refused),
            ] {
                text.add(metric, "counter", &[("model", name)], count as f64);
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|(name, model)| {
                json!({
                    "model": name,
                    "requests": model.requests,
                    "errors": model.errors,
                    "left": model.left,
                    "retries": model.retries,
                    "fell_back": model.fell_back,
                    "cached": model.cached,
                    "refused": model.refused,
                    "input_tokens": model.input_tokens,
                    "output_tokens": model.output_tokens,
                    "cost_usd": dollars(model.cost),
                    "saved_usd": dollars(model.saved),
                    "total": model.total.0,
                    "first_token": model.first_token.0,
                })
            })
            .collect();
        json!({"bounds": BOUNDS, "rows": rows})
    }
}
