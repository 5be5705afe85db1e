//! One measure of one model: for all time, and for windows that slide.

use hdrhistogram::Histogram;

/// How far back latencies are looked at. A window slides by sixths of its length, so it
/// reaches back up to a sixth further.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Window {
    /// Since the layer was made.
    #[default]
    AllTime,
    /// The last minute.
    Minute,
    /// The last five minutes.
    FiveMinutes,
    /// The last hour.
    Hour,
}

/// Longer is a fault of the clock, or nobody's wait.
const MOST_MICROS: u64 = 24 * 3_600 * 1_000_000;
/// A window has this many slices, and the one that is being filled.
const SLICES: u64 = 6;
/// The slice of each window, in seconds.
const WIDTHS: [u64; 3] = [10, 50, 600];

/// Two significant digits: a quantile is off by at most 1 %.
pub(crate) type Counts = Histogram<u32>;

pub(crate) fn counts() -> Counts {
    // it grows by itself; 2 is within what the crate takes
    Histogram::new(2).unwrap_or_else(|_| unreachable!("two digits are allowed"))
}

/// Made when the first value comes, as most outcomes of most models never come.
#[derive(Default)]
pub(crate) struct Measure(Option<Box<Kept>>);

struct Kept {
    all: Counts,
    windows: [Vec<Slice>; 3],
}

struct Slice {
    number: u64,
    counts: Counts,
}

impl Measure {
    /// Books a value in microseconds that was measured at this second.
    pub(crate) fn record(&mut self, micros: u64, second: u64) {
        let micros = micros.clamp(1, MOST_MICROS);
        let kept = self.0.get_or_insert_with(|| {
            Box::new(Kept {
                all: counts(),
                windows: Default::default(),
            })
        });
        record(&mut kept.all, micros);
        for (slices, width) in kept.windows.iter_mut().zip(WIDTHS) {
            if let Some(slice) = slice(slices, second / width) {
                record(&mut slice.counts, micros);
            }
        }
    }

    /// Adds what a window holds at this second.
    pub(crate) fn add_to(&self, sum: &mut Counts, window: Window, second: u64) {
        let Some(kept) = &self.0 else { return };
        let at = match window {
            Window::AllTime => return add(sum, &kept.all),
            Window::Minute => 0,
            Window::FiveMinutes => 1,
            Window::Hour => 2,
        };
        let oldest = (second / WIDTHS[at]).saturating_sub(SLICES);
        let slices = kept.windows[at].iter();
        for slice in slices.filter(|slice| slice.number >= oldest) {
            add(sum, &slice.counts);
        }
    }
}

/// The slice of this number, in place of the oldest. `None`: it is over long ago.
fn slice(slices: &mut Vec<Slice>, number: u64) -> Option<&mut Slice> {
    let at = slices.iter().position(|slice| slice.number == number);
    if let Some(at) = at {
        return slices.get_mut(at);
    }
    if slices.len() as u64 <= SLICES {
        slices.push(Slice {
            number,
            counts: counts(),
        });
        return slices.last_mut();
    }
    let oldest = slices.iter_mut().min_by_key(|slice| slice.number)?;
    if oldest.number > number {
        return None;
    }
    oldest.number = number;
    oldest.counts.reset();
    Some(oldest)
}

fn record(counts: &mut Counts, micros: u64) {
    // what does not fit makes the histogram grow, up to the longest wait
    let _ = counts.record(micros);
}

pub(crate) fn add(sum: &mut Counts, part: &Counts) {
    // `sum` grows as it needs to
    let _ = sum.add(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(measure: &Measure, window: Window, second: u64) -> u64 {
        let mut sum = counts();
        measure.add_to(&mut sum, window, second);
        sum.len()
    }

    #[test]
    fn a_window_forgets_what_is_older_than_it_and_a_sixth() {
        let mut measure = Measure::default();
        measure.record(5_000, 1_000);
        for (window, length) in [
            (Window::Minute, 60),
            (Window::FiveMinutes, 300),
            (Window::Hour, 3_600),
        ] {
            assert_eq!(count(&measure, window, 1_000), 1);
            assert_eq!(count(&measure, window, 1_000 + length), 1, "{window:?}");
            let sixth = length / 6;
            assert_eq!(
                count(&measure, window, 1_000 + length + sixth),
                0,
                "{window:?}"
            );
        }
        assert_eq!(count(&measure, Window::AllTime, u64::MAX), 1);
    }

    #[test]
    fn slices_are_used_again_and_late_values_are_not_booked_in_newer_ones() {
        let mut measure = Measure::default();
        for second in 0..10_000 {
            measure.record(second + 1, second);
        }
        let kept = measure.0.as_ref().unwrap();
        assert!(kept.windows.iter().all(|slices| slices.len() == 7));
        let before = count(&measure, Window::Minute, 9_999);
        measure.record(7, 3);
        assert_eq!(count(&measure, Window::Minute, 9_999), before);
        assert_eq!(count(&measure, Window::AllTime, 9_999), 10_001);
    }

    #[test]
    fn a_wait_of_any_length_is_booked() {
        let mut measure = Measure::default();
        for micros in [0, 1, u64::MAX] {
            measure.record(micros, 0);
        }
        let mut sum = counts();
        measure.add_to(&mut sum, Window::AllTime, 0);
        assert_eq!((sum.len(), sum.min()), (3, 1));
        assert!(sum.max() >= MOST_MICROS);
    }
}
