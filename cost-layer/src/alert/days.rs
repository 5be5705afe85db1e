//! What was spent on a day, by all and by each user.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use llm_exchange::Money;

use crate::Day;

/// Whose spending of a day is added up. Users beyond it are not watched that day.
pub(super) const MOST_USERS: usize = 65_536;

/// The sums of the latest day.
pub(super) struct Days {
    day: Day,
    spent: Money,
    users: HashMap<Box<str>, Money, RandomState>,
}

impl Days {
    pub(super) fn new() -> Self {
        Self {
            day: Day::of(std::time::SystemTime::UNIX_EPOCH),
            spent: Money::ZERO,
            users: HashMap::default(),
        }
    }

    /// The day that is added up, if this is not a later one: a clock that steps back does not begin one
    /// anew.
    pub(super) fn begin(&mut self, day: Day) -> Day {
        if day > self.day {
            self.day = day;
            self.spent = Money::ZERO;
            self.users.clear();
        }
        self.day
    }

    /// What all have spent, with this.
    pub(super) fn add(&mut self, cost: Money) -> Money {
        self.spent = self.spent.saturating_add(cost);
        self.spent
    }

    /// What a user has spent, with this. `None`: there are too many.
    pub(super) fn add_of(&mut self, user: &str, cost: Money) -> Option<Money> {
        if self.users.len() >= MOST_USERS && !self.users.contains_key(user) {
            return None;
        }
        let spent = self.users.entry(user.into()).or_default();
        *spent = spent.saturating_add(cost);
        Some(*spent)
    }
}
