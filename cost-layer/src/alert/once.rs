//! Each alert once per window and key.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// More keys than this alert at the same time only by somebody's design. Then those are forgotten whose
/// window ends first, as keys have names that callers make up: no alert is lost.
const MOST_KEYS: usize = 10_000;
/// How many are forgotten at once, so that a flood of keys is not looked through for each.
const FORGOTTEN: usize = MOST_KEYS / 10;

/// Each key's alert that was given last.
#[derive(Default)]
pub(crate) struct Once {
    keys: HashMap<String, Given, RandomState>,
}

struct Given {
    /// When its window is over.
    until: u64,
    held_back: u64,
}

impl Once {
    /// `Some`: it is to be given, and so many of its kind and key were held back since the last one.
    pub(crate) fn give(&mut self, key: String, second: u64, window: u64) -> Option<u64> {
        if let Some(given) = self.keys.get_mut(&key) {
            if second < given.until {
                given.held_back += 1;
                return None;
            }
            given.until = second + window;
            return Some(std::mem::take(&mut given.held_back));
        }
        if self.keys.len() >= MOST_KEYS {
            self.forget(second);
        }
        let given = Given {
            until: second + window,
            held_back: 0,
        };
        self.keys.insert(key, given);
        Some(0)
    }

    /// Makes room: those go whose window is over, or ends first.
    fn forget(&mut self, second: u64) {
        self.keys.retain(|_, given| given.until > second);
        if self.keys.len() < MOST_KEYS {
            return;
        }
        let mut ends: Vec<u64> = self.keys.values().map(|given| given.until).collect();
        let (_, last, _) = ends.select_nth_unstable(FORGOTTEN);
        let (last, mut more) = (*last, FORGOTTEN);
        self.keys.retain(|_, given| {
            let goes = given.until <= last && more > 0;
            more -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_for_each_key_and_window() {
        let mut once = Once::default();
        let mut give = |key: &str, second| once.give(key.to_owned(), second, 60);
        assert_eq!(give("a", 0), Some(0));
        assert_eq!(give("a", 1), None);
        assert_eq!(give("b", 1), Some(0));
        assert_eq!(give("a", 59), None);
        assert_eq!(give("a", 60), Some(2));
        assert_eq!(give("a", 119), None);
        assert_eq!(give("a", 500), Some(1));
    }

    #[test]
    fn keys_are_bounded() {
        let mut once = Once::default();
        // each an hour long, and longer than what matters
        let junk = |once: &mut Once, from: u32| {
            (from..from + 20_000)
                .filter(|n| once.give(n.to_string(), 5, 3_600).is_some())
                .count()
        };
        assert_eq!(junk(&mut once, 0), 20_000);
        assert!(once.keys.len() <= MOST_KEYS);
        // who comes after a flood is heard, and once
        assert_eq!(once.give("hour".to_owned(), 6, 3_600), Some(0));
        assert_eq!(once.give("hour".to_owned(), 7, 3_600), None);
        assert_eq!(once.give("lost".to_owned(), 6, 60), Some(0));
        assert_eq!(junk(&mut once, 20_000), 20_000);
        assert!(once.keys.len() <= MOST_KEYS);
        assert_eq!(once.give("later".to_owned(), 2 * 24 * 3_600, 60), Some(0));
    }
}
