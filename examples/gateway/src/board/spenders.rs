//! What users spent since the start, for `/metrics`.

use std::collections::BTreeMap;

use llm_exchange::Money;

use super::line::{Line, dollars};
use crate::exposition::Exposition;

/// All who have no sums of their own.
pub(crate) const OTHER: &str = "other";
const NOBODY: &str = "";

/// The first users who called have sums of their own, as a series of Prometheus that comes and goes is none;
/// all others together are `other`.
#[derive(Debug, Default)]
pub(super) struct Spenders {
    most: usize,
    sums: BTreeMap<Box<str>, (u64, Money)>,
}

impl Spenders {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            sums: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, line: &Line) {
        let user = line.user.as_deref().unwrap_or(NOBODY);
        let is_known = self.sums.contains_key(user) || self.sums.len() < self.most;
        let name = if is_known { user } else { OTHER };
        let (calls, cost) = self.sums.entry(name.into()).or_default();
        *calls += 1;
        *cost = cost.saturating_add(line.cost.unwrap_or(Money::ZERO));
    }

    /// Who has sums of their own.
    pub(super) fn names(&self) -> Vec<Box<str>> {
        let names = self.sums.keys();
        names
            .filter(|name| !matches!(&***name, NOBODY | OTHER))
            .cloned()
            .collect()
    }

    pub(super) fn metrics(&self, text: &mut Exposition) {
        for (user, (calls, cost)) in &self.sums {
            let labels = [("user", &**user)];
            text.add("llm_user_calls_total", "counter", &labels, *calls as f64);
            let cost = dollars(*cost);
            text.add("llm_user_cost_usd_total", "counter", &labels, cost);
        }
    }
}
