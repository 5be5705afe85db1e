//! How long calls took over the last hour, as points in time.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use cost_layer::{CostHandle, Quantiles, Window};
use serde_json::{Value, json};

use super::line::millis;

/// How often a point is taken.
pub(crate) const EVERY: Duration = Duration::from_secs(5);

/// The models that are drawn.
pub(super) const MODELS: usize = 6;

/// An hour of points.
const POINTS: usize = 720;

#[derive(Debug, Default)]
pub(super) struct Series(VecDeque<Point>);

#[derive(Debug)]
pub(super) struct Point {
    at: SystemTime,
    models: Vec<(Box<str>, [u64; 6])>,
}

impl Series {
    /// What the last minute was like for these models.
    pub(super) fn read(models: &[Box<str>], books: &CostHandle, at: SystemTime) -> Point {
        let models = models.iter().filter_map(|model| {
            let latency = books.latency(model, Window::Minute)?;
            let (total, first) = (&latency.ok.total, &latency.ok.first_content);
            let [a, b, c] = quantiles(total);
            let [d, e, f] = quantiles(first);
            (total.count > 0).then(|| (model.clone(), [a, b, c, d, e, f]))
        });
        Point {
            at,
            models: models.collect(),
        }
    }

    pub(super) fn push(&mut self, point: Point) {
        if self.0.len() == POINTS {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }

    /// Of each model the p50, p95, p99 of the total time and of the time to the first token, in
    /// milliseconds.
    pub(super) fn json(&self) -> Value {
        let points = self.0.iter().map(|point| {
            let models = point.models.iter();
            let models: serde_json::Map<_, _> = models
                .map(|(model, times)| (model.to_string(), json!(times)))
                .collect();
            json!({"at": millis(point.at), "models": models})
        });
        points.collect()
    }
}

fn quantiles(of: &Quantiles) -> [u64; 3] {
    [of.p50, of.p95, of.p99].map(super::line::in_millis)
}
