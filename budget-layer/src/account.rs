//! What one scope of one limit has used: a pure state machine.

use std::collections::VecDeque;

use crate::window::{Form, PARTS, Window};

/// No count is ever larger: sums of a few of them stay exact in the doubles of Lua.
pub(crate) const MOST: u64 = 1 << 50;

/// Used, reserved, and what was granted beside the limit.
///
/// Time is given in. It never goes back here: where a clock steps back, the window that was open stays
/// open until the clock has come to its end again, so that nothing used in it is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Of the window that it was used over last.
    form: Form,
    used: Used,
    /// By calls that have not ended. They stay reserved when a window ends, and count where they end.
    reserved: u64,
    /// Beside the limit, until then.
    granted: u64,
    granted_until: u64,
    /// Instead of the limit that the layer has.
    own_limit: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Used {
    Until {
        end: u64,
        used: u64,
    },
    /// Each part by its number, the oldest first; at most one more than a window has.
    Parts {
        used: u64,
        parts: VecDeque<(u64, u64)>,
    },
}

impl Account {
    pub(crate) fn new(window: &Window, now: u64) -> Self {
        let used = match window.part() {
            None => Used::Until {
                end: window.period(now).end,
                used: 0,
            },
            Some(_) => Used::Parts {
                used: 0,
                parts: VecDeque::new(),
            },
        };
        Self {
            form: window.form(),
            used,
            reserved: 0,
            granted: 0,
            granted_until: 0,
            own_limit: None,
        }
    }

    /// What was saved of an account; all of it counts as used.
    pub(crate) fn restored(saved: Saved) -> Self {
        let used = match saved.parts {
            None => Used::Until {
                end: saved.end,
                used: saved.used.min(MOST),
            },
            Some(parts) => Used::Parts {
                used: parts.iter().fold(0, |sum, part| add(sum, part.1)),
                parts: parts.into(),
            },
        };
        Self {
            form: saved.form,
            used,
            reserved: 0,
            granted: saved.granted.min(MOST),
            granted_until: saved.granted_until,
            own_limit: saved.own_limit,
        }
    }

    /// What to save of it: reservations as if they were used.
    pub(crate) fn saved(&self, now: u64) -> Saved {
        let mut saved = Saved {
            form: self.form,
            end: 0,
            used: 0,
            parts: None,
            granted: self.granted,
            granted_until: self.granted_until,
            own_limit: self.own_limit,
        };
        match &self.used {
            Used::Until { end, used } => {
                saved.end = *end;
                saved.used = add(*used, self.reserved);
            }
            Used::Parts { parts, .. } => {
                let mut parts: Vec<_> = parts.iter().copied().collect();
                let part = now / self.part();
                match parts.last_mut() {
                    _ if self.reserved == 0 => {}
                    Some((last, sum)) if *last >= part => *sum = add(*sum, self.reserved),
                    _ => parts.push((part, self.reserved)),
                }
                saved.parts = Some(parts);
            }
        }
        saved
    }

    /// Begins a new window if the old one is over.
    pub(crate) fn roll(&mut self, window: &Window, now: u64) {
        if self.form != window.form() {
            self.change(window, now);
        }
        match &mut self.used {
            Used::Until { end, used } if now >= *end => {
                *end = window.period(now).end;
                *used = 0;
            }
            Used::Until { .. } => {}
            Used::Parts { .. } => self.forget_parts(now),
        }
        if now >= self.granted_until {
            self.granted = 0;
        }
    }

    /// Of a rolling window, what it has left behind.
    pub(crate) fn forget_parts(&mut self, now: u64) {
        let length = self.part();
        let Used::Parts { used, parts } = &mut self.used else {
            return;
        };
        while let Some((part, amount)) = parts.front()
            && part.saturating_add(PARTS) < now / length
        {
            *used = used.saturating_sub(*amount);
            parts.pop_front();
        }
    }

    /// The limit has another window now: what may have been used within it counts as if it were used
    /// just now.
    fn change(&mut self, window: &Window, now: u64) {
        let start = match window.part() {
            Some(length) => now.saturating_sub(length.saturating_mul(PARTS)),
            None => window.period(now).start,
        };
        let length = self.part();
        let used = match &self.used {
            Used::Until { end, used } if *end > start => *used,
            Used::Until { .. } => 0,
            Used::Parts { parts, .. } => parts
                .iter()
                .filter(|(part, _)| part.saturating_add(1).saturating_mul(length) > start)
                .fold(0, |sum, part| add(sum, part.1)),
        };
        let new = Self::new(window, now);
        (self.form, self.used) = (new.form, new.used);
        if used > 0 {
            self.charge(used, now);
        }
    }

    /// The length of a part, where the window is a rolling one.
    fn part(&self) -> u64 {
        match self.form {
            Form::Rolling(length) => length.max(1),
            Form::Calendar(_) | Form::Total => 1,
        }
    }

    pub(crate) fn used(&self) -> u64 {
        match &self.used {
            Used::Until { used, .. } | Used::Parts { used, .. } => *used,
        }
    }

    pub(crate) const fn reserved(&self) -> u64 {
        self.reserved
    }

    /// The limit as it is for this scope now.
    pub(crate) fn limit(&self, usual: u64) -> u64 {
        add(self.own_limit.unwrap_or(usual), self.granted)
    }

    /// What may still be reserved.
    pub(crate) fn left(&self, usual: u64) -> u64 {
        self.limit(usual)
            .saturating_sub(self.used())
            .saturating_sub(self.reserved)
    }

    pub(crate) fn reserve(&mut self, amount: u64) {
        self.reserved = add(self.reserved, amount);
    }

    /// Puts what was used in the place of what was reserved.
    pub(crate) fn settle(&mut self, window: &Window, reserved: u64, amount: u64, now: u64) {
        self.roll(window, now);
        self.reserved = self.reserved.saturating_sub(reserved);
        if amount > 0 {
            self.charge(amount, now);
        }
    }

    fn charge(&mut self, amount: u64, now: u64) {
        let length = self.part();
        match &mut self.used {
            Used::Until { used, .. } => *used = add(*used, amount),
            Used::Parts { used, parts } => {
                *used = add(*used, amount);
                let part = now / length;
                match parts.back_mut() {
                    // never an earlier part than the last
                    Some((last, sum)) if *last >= part => *sum = add(*sum, amount),
                    _ => parts.push_back((part, amount)),
                }
            }
        }
    }

    /// How long until an amount fits if nothing else changes, as far as that is known. `None`: it
    /// never will. Zero: it waits for running calls alone.
    pub(crate) fn wait(&self, window: &Window, usual: u64, amount: u64, now: u64) -> Option<u64> {
        let limit = self.limit(usual);
        let needed = add(amount, self.used());
        if needed <= limit {
            return Some(0);
        }
        if amount > limit.saturating_sub(self.granted) {
            return None;
        }
        match &self.used {
            Used::Until { end, .. } if *end == u64::MAX => None,
            Used::Until { end, .. } => Some(end.saturating_sub(now)),
            Used::Parts { parts, .. } => {
                let length = window.part()?;
                let mut over = needed - limit;
                for (part, amount) in parts {
                    over = over.saturating_sub(*amount);
                    if over == 0 {
                        let gone = part.saturating_add(PARTS + 1).saturating_mul(length);
                        return Some(gone.saturating_sub(now));
                    }
                }
                None
            }
        }
    }

    /// Gives more beside the limit: until the window ends, of a rolling one for its length.
    pub(crate) fn grant(&mut self, window: &Window, amount: u64, now: u64) {
        self.roll(window, now);
        self.granted = add(self.granted, amount);
        self.granted_until = match &self.used {
            Used::Until { end, .. } => *end,
            Used::Parts { .. } => {
                let length = window.part().unwrap_or(1).saturating_mul(PARTS);
                now.saturating_add(length).max(self.granted_until)
            }
        };
    }

    pub(crate) fn set_limit(&mut self, limit: Option<u64>) {
        self.own_limit = limit.map(|limit| limit.min(MOST));
    }

    /// Forgets what was used, and what was granted.
    pub(crate) fn reset(&mut self, window: &Window, now: u64) {
        *self = Self {
            reserved: self.reserved,
            own_limit: self.own_limit,
            ..Self::new(window, now)
        };
    }

    /// Whether a new account would be the same: it need not be kept.
    pub(crate) fn is_idle(&self, now: u64) -> bool {
        let unused = match &self.used {
            Used::Until { end, used } => *used == 0 || now >= *end,
            Used::Parts { used, .. } => *used == 0,
        };
        let ungranted = self.granted == 0 || now >= self.granted_until;
        unused && ungranted && self.reserved == 0 && self.own_limit.is_none()
    }
}

/// An account as it is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) form: Form,
    pub(crate) end: u64,
    pub(crate) used: u64,
    pub(crate) parts: Option<Vec<(u64, u64)>>,
    pub(crate) granted: u64,
    pub(crate) granted_until: u64,
    pub(crate) own_limit: Option<u64>,
}

fn add(one: u64, other: u64) -> u64 {
    one.saturating_add(other).min(MOST)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::window::Zone;

    const DAY: u64 = 86_400_000;

    #[test]
    fn a_new_day_forgets_what_was_used_but_not_what_is_reserved() {
        let day = Window::day(&Zone::UTC);
        let mut account = Account::new(&day, 5);
        account.reserve(70);
        account.settle(&day, 20, 30, 10);
        assert_eq!(
            (account.used(), account.reserved(), account.left(100)),
            (30, 50, 20)
        );
        account.roll(&day, DAY);
        assert_eq!(
            (account.used(), account.reserved(), account.left(100)),
            (0, 50, 50)
        );
        account.settle(&day, 50, 60, DAY + 1);
        assert_eq!((account.used(), account.left(100)), (60, 40));
    }

    #[test]
    fn a_clock_that_steps_back_opens_no_window_again() {
        let day = Window::day(&Zone::UTC);
        let mut account = Account::new(&day, DAY);
        account.settle(&day, 0, 100, DAY);
        account.roll(&day, 3);
        assert_eq!(account.left(100), 0);
        account.roll(&day, 2 * DAY);
        assert_eq!(account.left(100), 100);
    }

    #[test]
    fn the_wait_is_true() {
        let day = Window::day(&Zone::UTC);
        let mut account = Account::new(&day, 0);
        account.settle(&day, 0, 90, DAY - 500);
        assert_eq!(account.wait(&day, 100, 11, DAY - 400), Some(400));
        assert_eq!(account.wait(&day, 100, 101, DAY - 400), None);
        account.reserve(5);
        assert_eq!(account.wait(&day, 100, 10, DAY - 400), Some(0));
        let total = Window::total();
        let mut account = Account::new(&total, 0);
        account.settle(&total, 0, 90, 5);
        assert_eq!(account.wait(&total, 100, 11, 6), None);
    }

    #[test]
    fn a_limit_of_its_own_and_a_grant_change_what_is_left() {
        let day = Window::day(&Zone::UTC);
        let mut account = Account::new(&day, 0);
        account.settle(&day, 0, 90, 5);
        account.set_limit(Some(50));
        assert_eq!(account.left(100), 0);
        account.grant(&day, 60, 6);
        assert_eq!(account.left(100), 20);
        account.roll(&day, DAY);
        assert_eq!(account.left(100), 50);
        account.set_limit(None);
        assert_eq!(account.left(100), 100);
    }

    #[test]
    fn a_limit_over_another_time_keeps_what_was_used() {
        let (day, total) = (Window::day(&Zone::UTC), Window::total());
        let rolling = Window::rolling(Duration::from_secs(3_600));
        let mut account = Account::new(&total, 0);
        account.settle(&total, 0, 90, 5);
        let hour = Window::hour(&Zone::UTC);
        let shorter = Window::rolling(Duration::from_secs(60));
        for window in [&day, &rolling, &day, &shorter, &rolling, &hour, &day] {
            account.roll(window, 10);
            assert_eq!(account.used(), 90, "{window:?}");
        }
        // a longer window, after the shorter one has ended: it was used within it still
        let month = Window::month(&Zone::UTC);
        account.roll(&month, DAY);
        assert_eq!(account.used(), 90);
        account.roll(&total, 40 * DAY);
        assert_eq!(account.used(), 90);
        // and of what was used before a window began nothing
        account.roll(&day, 41 * DAY);
        account.roll(&hour, 42 * DAY);
        assert_eq!(account.used(), 0);
        account.settle(&rolling, 0, 5, 42 * DAY);
        account.roll(&shorter, 42 * DAY + 3_000_000);
        assert_eq!(account.used(), 0);
    }

    fn any_window() -> impl Strategy<Value = Window> {
        prop_oneof![
            Just(Window::minute()),
            Just(Window::rolling(Duration::from_secs(60))),
            Just(Window::rolling(Duration::from_millis(977))),
            Just(Window::total()),
        ]
    }

    proptest! {
        /// Against a list of everything that was ever used.
        #[test]
        fn what_is_used_is_what_a_list_of_all_charges_says(
            window in any_window(),
            steps in prop::collection::vec((0u64..40_000, 0u64..50), 1..80),
        ) {
            let mut account = Account::new(&window, 0);
            let (mut now, mut list) = (0, Vec::new());
            for (later, amount) in steps {
                now += later;
                account.settle(&window, 0, amount, now);
                list.push((now, amount));
                let within = |since: u64| -> u64 {
                    list.iter().filter(|charge| charge.0 >= since).map(|charge| charge.1).sum()
                };
                match window.part() {
                    None => prop_assert_eq!(account.used(), within(window.period(now).start)),
                    // never less than of the whole window, never more than of one part more
                    Some(part) => {
                        let length = part * PARTS;
                        prop_assert!(account.used() >= within((now + 1).saturating_sub(length)));
                        prop_assert!(account.used() <= within(now.saturating_sub(length + part)));
                    }
                }
            }
        }

        #[test]
        fn after_the_wait_it_fits(
            window in any_window(),
            steps in prop::collection::vec((0u64..20_000, 0u64..50), 1..80),
            amount in 1u64..120,
        ) {
            let mut account = Account::new(&window, 0);
            let mut now = 0;
            for (later, amount) in steps {
                now += later;
                account.settle(&window, 0, amount, now);
            }
            account.roll(&window, now);
            let before = account.clone();
            match account.wait(&window, 100, amount, now) {
                Some(wait) => {
                    account.roll(&window, now + wait);
                    prop_assert!(account.left(100) >= amount);
                    if wait > 0 {
                        let mut early = before;
                        early.roll(&window, now + wait - 1);
                        prop_assert!(early.left(100) < amount, "sooner than it said");
                    }
                }
                None => prop_assert!(amount > 100 || window.period(0).end == u64::MAX),
            }
        }

        #[test]
        fn what_is_saved_comes_back_with_reservations_as_used(
            window in any_window(),
            steps in prop::collection::vec((0u64..20_000, 0u64..50), 1..40),
            reserved in 0u64..50,
        ) {
            let mut account = Account::new(&window, 0);
            let mut now = 0;
            for (later, amount) in steps {
                now += later;
                account.settle(&window, 0, amount, now);
            }
            account.reserve(reserved);
            let back = Account::restored(account.saved(now));
            prop_assert_eq!(back.used(), account.used() + reserved);
            prop_assert_eq!(back.reserved(), 0);
        }
    }
}
