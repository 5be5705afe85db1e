//! Each alert once per window and key.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// More keys than this alert at the same time only by somebody's design.
const MOST_KEYS: usize = 10_000;

/// When each key's alert was given last.
#[derive(Default)]
pub(crate) struct Once {
    keys: HashMap<String, Given, RandomState>,
}

struct Given {
    at: u64,
    held_back: u64,
}

impl Once {
    /// `Some`: it is to be given, and so many of its kind and key were held back since the last one.
    pub(crate) fn give(&mut self, key: String, second: u64, window: u64) -> Option<u64> {
        if let Some(given) = self.keys.get_mut(&key) {
            if second < given.at + window {
                given.held_back += 1;
                return None;
            }
            given.at = second;
            return Some(std::mem::take(&mut given.held_back));
        }
        if self.keys.len() >= MOST_KEYS {
            // the longest window is a day
            self.keys.retain(|_, given| given.at + 24 * 3_600 > second);
            if self.keys.len() >= MOST_KEYS {
                return None;
            }
        }
        let at = second;
        self.keys.insert(key, Given { at, held_back: 0 });
        Some(0)
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
        let given = (0..20_000)
            .filter(|n| once.give(n.to_string(), 5, 60).is_some())
            .count();
        assert_eq!(given, 10_000);
        assert_eq!(once.give("later".to_owned(), 2 * 24 * 3_600, 60), Some(0));
    }
}
