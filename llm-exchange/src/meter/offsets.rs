//! Parts of a stream by their place in it.

use std::ops::Range;

/// More events that answer a question of ours than any stream has.
const MOST: usize = 4;

/// The events of a stream that only a layer of ours asked for: where they stand.
#[derive(Debug, Default)]
pub(crate) struct Hidden(Vec<Range<u64>>);

impl Hidden {
    pub(crate) fn push(&mut self, event: Range<u64>) {
        if self.0.len() < MOST {
            self.0.push(event);
        }
    }

    /// The last event that ended here has one byte more.
    pub(crate) fn grow(&mut self, end: u64) {
        if let Some(last) = self.0.last_mut().filter(|last| last.end == end) {
            last.end += 1;
        }
    }

    /// The parts of a range that stay.
    pub(crate) fn without(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let starts = std::iter::once(range.start).chain(self.0.iter().map(|hidden| hidden.end));
        let ends = self.0.iter().map(|hidden| hidden.start);
        let parts = starts.zip(ends.chain([range.end]));
        parts
            .map(move |(start, end)| start.max(range.start)..end.min(range.end))
            .filter(|part| !part.is_empty())
    }

    /// All of them, in their order.
    pub(crate) fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "a list of ranges")]
    fn what_is_hidden_is_left_out_wherever_the_range_is_cut() {
        let mut hidden = Hidden::default();
        let parts = |hidden: &Hidden, range| hidden.without(range).collect::<Vec<_>>();
        assert_eq!(parts(&hidden, 3..9), [3..9]);
        hidden.push(10..20);
        hidden.push(20..21);
        hidden.push(30..40);
        assert_eq!(parts(&hidden, 0..50), [0..10, 21..30, 40..50]);
        assert_eq!(parts(&hidden, 0..10), [0..10]);
        assert_eq!(parts(&hidden, 12..25), [21..25]);
        assert_eq!(parts(&hidden, 10..21), []);
        assert_eq!(parts(&hidden, 40..40), []);
    }
}
