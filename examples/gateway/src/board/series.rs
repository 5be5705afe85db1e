//! How long calls took over the last hour, as points in time.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{
    line::{in_millis, millis},
    models::Models,
};

/// How often a point is taken.
pub(crate) const EVERY: Duration = Duration::from_secs(5);

/// The models that are drawn.
const MODELS: usize = 6;

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
    /// What the last minute was like.
    pub(super) fn read(models: &mut Models, at: SystemTime) -> Point {
        let models = models.busiest(MODELS, at).into_iter();
        Point {
            at,
            models: models
                .map(|(model, times)| (model, times.map(in_millis)))
                .collect(),
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
