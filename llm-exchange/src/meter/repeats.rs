//! The same text again and again.

/// A longer text is not remembered.
const LONGEST: usize = 1 << 10;

/// Counts how often the last text was said in a row.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    last: Vec<u8>,
    count: u64,
}

impl Repeats {
    /// The next text, as it stands in its JSON. Nothing is never the same.
    #[inline]
    pub(crate) fn said(&mut self, text: &[u8]) {
        if text == self.last && !text.is_empty() {
            self.count += 1;
            return;
        }
        self.last.clear();
        self.count = 0;
        if text.len() <= LONGEST && !text.is_empty() {
            self.last.extend_from_slice(text);
            self.count = 1;
        }
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_in_a_row_counts() {
        let mut repeats = Repeats::default();
        let mut count = |text: &str| {
            repeats.said(text.as_bytes());
            repeats.count()
        };
        assert_eq!((count("a"), count("a"), count("a")), (1, 2, 3));
        assert_eq!((count("b"), count("a")), (1, 1));
        assert_eq!((count(""), count(""), count("a")), (0, 0, 1));
        let long = "x".repeat(LONGEST + 1);
        assert_eq!((count(&long), count(&long)), (0, 0));
    }
}
