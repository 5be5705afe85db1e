//! What became of the calls, for the dashboard: the last of them, sums and histograms by model, and
//! latencies over the last hour. In memory, bounded, and gone when the gateway stops; what is to last is
//! in the ledger.

mod line;
mod models;
mod series;

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use cost_layer::{Alert, CostHandle};
use llm_exchange::WallClock;
use serde_json::{Value, json};

pub(crate) use self::{
    line::{Line, Step, dollars, in_millis, millis},
    series::EVERY,
};
use self::{models::Models, series::Series};

/// The last calls that are kept.
const CALLS: usize = 200;

/// The users whose budgets are shown.
const USERS: usize = 16;

/// The last alerts that are kept.
const ALERTS: usize = 100;

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
    alerts: VecDeque<Value>,
}

impl Board {
    /// The time of day.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// A call is over.
    pub(crate) fn add(&self, line: Line) {
        let mut state = self.lock();
        state.models.add(&line);
        if state.calls.len() == CALLS {
            state.calls.pop_front();
        }
        state.calls.push_back(line);
    }

    pub(crate) fn alert(&self, alert: &Alert) {
        let alert = json!({
            "at": millis(self.now()),
            "kind": alert.kind.as_str(),
            "text": alert.kind.to_string(),
            "held_back": alert.held_back,
        });
        let mut state = self.lock();
        if state.alerts.len() == ALERTS {
            state.alerts.pop_front();
        }
        state.alerts.push_back(alert);
    }

    /// Notes how long calls take now; to be called every [`EVERY`].
    pub(crate) fn sample(&self, books: &CostHandle) {
        let busiest = self.lock().models.busiest(series::MODELS);
        let point = Series::read(&busiest, books, self.now());
        self.lock().series.push(point);
    }

    /// The alerts, the latest first.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        self.lock().alerts.iter().rev().cloned().collect()
    }

    /// The last calls, the latest first.
    pub(crate) fn calls(&self) -> Vec<Value> {
        self.lock().calls.iter().rev().map(Line::json).collect()
    }

    /// Who called last, the latest first, a few of them.
    pub(crate) fn users(&self) -> Vec<Box<str>> {
        let mut users: Vec<Box<str>> = Vec::new();
        let state = self.lock();
        for user in state
            .calls
            .iter()
            .rev()
            .filter_map(|call| call.user.clone())
        {
            if users.len() == USERS {
                break;
            }
            if !users.contains(&user) {
                users.push(user);
            }
        }
        users
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
