//! What became of the calls, for the dashboard: the last of them, sums and histograms by model, and
//! latencies over the last hour. In memory, bounded, and gone when the gateway stops; what is to last is
//! in the ledger.

mod callers;
mod line;
mod models;
mod recent;
mod series;
mod spenders;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use cost_layer::Alert;
use llm_exchange::WallClock;
use serde_json::{Value, json};

use crate::exposition::Exposition;

use self::{callers::Callers, models::Models, series::Series, spenders::Spenders};
pub(crate) use self::{
    line::{CALLER_GONE, Line, Step, dollars, in_millis, millis},
    series::EVERY,
    spenders::OTHER,
};

/// The last calls that are kept.
const CALLS: usize = 200;

/// The last alerts that are kept.
const ALERTS: usize = 100;

/// The kinds of alerts that are counted from zero: an increase is seen with the first one only then.
const KINDS: [&str; 9] = [
    "daily_spend",
    "expensive_request",
    "hourly_spend",
    "old_prices",
    "records_lost",
    "slow",
    "unknown_price",
    "unusual",
    "user_daily_spend",
];

#[derive(Debug, Default)]
pub(crate) struct Board {
    clock: WallClock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: VecDeque<Line>,
    models: Models,
    series: Series,
    callers: Callers,
    spenders: Spenders,
    alerts: VecDeque<Value>,
    alerted: BTreeMap<&'static str, u64>,
}

impl Board {
    /// With so many users who are told apart in the metrics.
    pub(crate) fn new(metric_users: usize) -> Self {
        let state = State {
            spenders: Spenders::new(metric_users),
            alerted: KINDS.map(|kind| (kind, 0)).into(),
            ..State::default()
        };
        Self {
            clock: WallClock::default(),
            state: Mutex::new(state),
        }
    }

    /// The time of day.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// A call is over.
    pub(crate) fn add(&self, line: Line) {
        let now = self.now();
        let mut state = self.lock();
        state.models.add(&line, now);
        state.spenders.add(&line);
        if let Some(user) = &line.user {
            state.callers.add(user);
        }
        if state.calls.len() == CALLS {
            state.calls.pop_front();
        }
        state.calls.push_back(line);
    }

    pub(crate) fn alert(&self, alert: &Alert) {
        let kind = alert.kind.as_str();
        let alert = json!({
            "at": millis(self.now()),
            "kind": kind,
            "text": alert.kind.to_string(),
            "held_back": alert.held_back,
        });
        let mut state = self.lock();
        *state.alerted.entry(kind).or_default() += 1;
        if state.alerts.len() == ALERTS {
            state.alerts.pop_front();
        }
        state.alerts.push_back(alert);
    }

    /// Notes how long calls take now; to be called every [`EVERY`].
    pub(crate) fn sample(&self) {
        let now = self.now();
        let mut state = self.lock();
        let point = Series::read(&mut state.models, now);
        state.series.push(point);
    }

    /// The alerts, the latest first.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        self.lock().alerts.iter().rev().cloned().collect()
    }

    /// The last calls, the latest first.
    pub(crate) fn calls(&self) -> Vec<Value> {
        self.lock().calls.iter().rev().map(Line::json).collect()
    }

    /// Who called lately.
    pub(crate) fn users(&self) -> Vec<Box<str>> {
        self.lock().callers.names()
    }

    /// Who is told apart in the metrics.
    pub(crate) fn spenders(&self) -> Vec<Box<str>> {
        self.lock().spenders.names()
    }

    /// What is counted, in Prometheus' text format.
    pub(crate) fn metrics(&self, text: &mut Exposition) {
        let state = self.lock();
        state.models.metrics(text);
        state.spenders.metrics(text);
        for (kind, count) in &state.alerted {
            text.add(
                "llm_alerts_total",
                "counter",
                &[("kind", kind)],
                *count as f64,
            );
        }
    }

    pub(crate) fn models(&self) -> Value {
        self.lock().models.json()
    }

    pub(crate) fn series(&self) -> Value {
        self.lock().series.json()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // nothing in it can be half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(model: &str, served: Option<&str>) -> Line {
        Line {
            at: SystemTime::UNIX_EPOCH,
            user: None,
            model: model.into(),
            served: served.map(Into::into),
            steps: Vec::new(),
            is_stream: true,
            status: 200,
            end: "ok",
            is_ok: true,
            input_tokens: 1,
            output_tokens: 1,
            is_estimated: false,
            cost: None,
            saved: llm_exchange::Money::ZERO,
            first_content: Some(Duration::from_millis(100)),
            total: Duration::from_millis(900),
            retries: 0,
        }
    }

    #[test]
    fn a_call_that_another_model_answered_is_the_models_that_was_asked_for_in_row_bar_and_curve() {
        let board = Board::default();
        board.add(line("gpt-5.5", Some("fake/gpt-5.4")));
        board.sample();
        let models = board.models();
        let rows = models["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(
            (&rows[0]["model"], &rows[0]["fell_back"]),
            (&json!("gpt-5.5"), &json!(1))
        );
        let bars = rows[0]["total"].as_array().unwrap();
        assert_eq!(bars.iter().filter(|bar| **bar == 1).count(), 1);
        let points = board.series();
        assert_eq!(
            points[0]["models"],
            json!({"gpt-5.5": [900, 900, 900, 100, 100, 100]})
        );
    }
}
