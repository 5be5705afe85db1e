//! The metric `llm_breaker_state`: 0 closed, 1 half-open, 2 open.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use crate::circuit::CircuitState;

/// The most keys that a layer makes a gauge of. A recorder never forgets a label, and callers write
/// models; only a key whose circuit changes has one.
const MOST: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Gauges {
    keys: Mutex<HashSet<Arc<str>>>,
}

impl Gauges {
    pub(crate) fn set(&self, key: &Arc<str>, state: CircuitState) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.contains(key) {
            if keys.len() >= MOST {
                return;
            }
            keys.insert(Arc::clone(key));
        }
        let value = match state {
            CircuitState::Closed | CircuitState::ForcedClosed => 0.0,
            CircuitState::HalfOpen => 1.0,
            CircuitState::Open | CircuitState::ForcedOpen => 2.0,
        };
        metrics::gauge!("llm_breaker_state", "key" => key.to_string()).set(value);
    }
}
