//! Sequences of behaviours.

use crate::{
    behaviour::Behaviour,
    failure::{Failure, Hint},
};

/// What the first, the second, ... request to a model gets.
///
/// Made of a [`Behaviour`] (every request), of a `Vec<Behaviour>` (one each, the last one repeats),
/// step by step, or by [`str::parse`] from the text that `x-fake` takes:
///
/// ```
/// use fake_provider::{Behaviour, Hint, Script};
///
/// let recovers = Script::new().throttle(2, Hint::RetryAfterMs(50)).then_ok();
/// let dies = Script::new().times(5, Behaviour::ok()).then(Behaviour::closes());
/// let same: Script = "throttle=2,retry-after-ms=50".parse().unwrap();
/// # let _ = (recovers, dies, same);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    steps: Vec<(u64, Behaviour)>,
    after: After,
}

#[derive(Debug, Clone, PartialEq)]
enum After {
    Ok,
    LastAgain,
    FromTheStart,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            after: After::Ok,
        }
    }
}

impl Script {
    /// Healthy answers; the steps added come first.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `count` requests behave so.
    pub fn times(mut self, count: u64, behaviour: impl Into<Behaviour>) -> Self {
        self.steps.push((count, behaviour.into()));
        self
    }

    /// The next `count` requests get a 429 with `hint`.
    pub fn throttle(self, count: u64, hint: Hint) -> Self {
        self.times(count, Behaviour::throttled(hint))
    }

    /// The next `count` requests get this failure.
    pub fn fail(self, count: u64, failure: Failure) -> Self {
        self.times(count, Behaviour::fails(failure))
    }

    /// All further requests behave so.
    pub fn then(mut self, behaviour: Behaviour) -> Self {
        self.steps.push((1, behaviour));
        self.after = After::LastAgain;
        self
    }

    /// All further requests are answered well. That is so anyway; it reads better.
    pub fn then_ok(mut self) -> Self {
        self.after = After::Ok;
        self
    }

    /// After the last step the first one comes again.
    pub fn start_over(mut self) -> Self {
        self.after = After::FromTheStart;
        self
    }

    /// What the request number `nth` (from 0) gets.
    pub(crate) fn nth(&self, nth: u64) -> Behaviour {
        let total = self
            .steps
            .iter()
            .fold(0u64, |sum, (count, _)| sum.saturating_add(*count));
        let mut left = match self.after {
            After::FromTheStart if total > 0 => nth % total,
            _ => nth,
        };
        for (count, behaviour) in &self.steps {
            if left < *count {
                return behaviour.clone();
            }
            left -= count;
        }
        match (&self.after, self.steps.last()) {
            (After::LastAgain, Some((_, last))) => last.clone(),
            _ => Behaviour::ok(),
        }
    }
}

impl From<Behaviour> for Script {
    fn from(behaviour: Behaviour) -> Self {
        Self::new().then(behaviour)
    }
}

impl From<Vec<Behaviour>> for Script {
    fn from(all: Vec<Behaviour>) -> Self {
        Self {
            steps: all.into_iter().map(|one| (1, one)).collect(),
            after: After::LastAgain,
        }
    }
}

impl From<Failure> for Behaviour {
    fn from(failure: Failure) -> Self {
        Self::fails(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_in_order_and_then_all_is_well() {
        let script = Script::new()
            .fail(1, Failure::overloaded())
            .times(2, Behaviour::hangs());
        let all: Vec<_> = (0..5).map(|n| script.nth(n)).collect();
        let (hang, ok) = (Behaviour::hangs(), Behaviour::ok());
        assert_eq!(
            all,
            [
                Failure::overloaded().into(),
                hang.clone(),
                hang,
                ok.clone(),
                ok
            ]
        );
    }

    #[test]
    fn the_last_of_a_list_repeats() {
        let script = Script::from(vec![Behaviour::ok(), Behaviour::closes()]);
        assert_eq!(script.nth(0), Behaviour::ok());
        assert_eq!(script.nth(1), Behaviour::closes());
        assert_eq!(script.nth(900), Behaviour::closes());
    }

    #[test]
    fn an_empty_list_is_a_healthy_server() {
        assert_eq!(Script::from(vec![]).nth(3), Behaviour::ok());
        assert_eq!(Script::new().start_over().nth(3), Behaviour::ok());
        assert_eq!(
            Script::new()
                .times(0, Behaviour::hangs())
                .start_over()
                .nth(0),
            Behaviour::ok()
        );
    }

    #[test]
    fn starting_over_comes_back_to_the_first_step() {
        let script = Script::new()
            .times(2, Behaviour::closes())
            .times(1, Behaviour::ok());
        let script = script.start_over();
        let closes: Vec<_> = (0..6)
            .map(|n| script.nth(n) == Behaviour::closes())
            .collect();
        assert_eq!(closes, [true, true, false, true, true, false]);
    }
}
