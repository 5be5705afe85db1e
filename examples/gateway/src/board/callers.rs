//! Who called lately, so that their budgets can be looked at.

use std::collections::HashMap;

/// Users that are remembered; whoever called longest ago is forgotten first. Each look at the budgets asks
/// the store for all of them.
const MOST: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Callers {
    /// With the number of their last call.
    known: HashMap<Box<str>, u64>,
    calls: u64,
}

impl Callers {
    pub(super) fn add(&mut self, user: &str) {
        self.calls += 1;
        if let Some(last) = self.known.get_mut(user) {
            *last = self.calls;
            return;
        }
        if self.known.len() == MOST {
            let oldest = self.known.iter().min_by_key(|(_, last)| **last);
            if let Some(oldest) = oldest.map(|(user, _)| user.clone()) {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(user.into(), self.calls);
    }

    pub(super) fn names(&self) -> Vec<Box<str>> {
        self.known.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_called_longest_ago_is_forgotten_first() {
        let mut callers = Callers::default();
        for user in 0..MOST {
            callers.add(&user.to_string());
        }
        callers.add("0");
        callers.add("new");
        let names = callers.names();
        assert_eq!(names.len(), MOST);
        for (user, is_known) in [("0", true), ("1", false), ("2", true), ("new", true)] {
            assert_eq!(names.iter().any(|name| **name == *user), is_known, "{user}");
        }
    }
}
