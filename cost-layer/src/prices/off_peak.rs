//! Prices that are lower at some hours of the week.

use std::time::{Duration, SystemTime};

use super::rates::Rates;

const MINUTES_A_DAY: u32 = 24 * 60;
const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Other rates within windows of the week, in UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OffPeak {
    pub(crate) windows: Vec<Window>,
    pub(crate) rates: Rates,
}

/// From a minute of the day to another; one that ends before it begins runs into the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Bit 0 is Monday: the day on which it begins.
    days: u8,
    from: u32,
    to: u32,
}

pub(crate) const EVERY_DAY: u8 = 0b111_1111;

impl Window {
    /// Reads `16:30-00:30`. A window whose ends are equal is the whole day.
    pub(crate) fn parse(hours: &str, days: u8) -> Option<Self> {
        let (from, to) = hours.split_once('-')?;
        Some(Self {
            days,
            from: minute(from)? % MINUTES_A_DAY,
            to: minute(to)?,
        })
    }

    fn contains(&self, day: u32, minute: u32) -> bool {
        let begins_on = |day: u32| self.days >> (day % 7) & 1 == 1;
        // `24:00` and `00:00` are both the day's end
        let to = if self.to == 0 { MINUTES_A_DAY } else { self.to };
        if self.from < to {
            return begins_on(day) && (self.from..to).contains(&minute);
        }
        let (before_midnight, after) = (minute >= self.from, minute < to);
        before_midnight && begins_on(day) || after && begins_on(day + 6)
    }
}

fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && minute <= MINUTES_A_DAY).then_some(minute)
}

/// A set of days from ISO numbers, Monday 1 to Sunday 7.
pub(crate) fn days(numbers: impl IntoIterator<Item = u64>) -> u8 {
    let bits = numbers.into_iter().filter(|day| (1..=7).contains(day));
    bits.fold(0, |days, day| days | 1 << (day - 1))
}

impl OffPeak {
    pub(crate) fn is_at(&self, time: SystemTime) -> bool {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.unwrap_or(Duration::ZERO).as_secs();
        // the epoch was a Thursday
        let day = (seconds / SECONDS_A_DAY + 3) % 7;
        let minute = seconds % SECONDS_A_DAY / 60;
        let (day, minute) = (day as u32, minute as u32);
        self.windows
            .iter()
            .any(|window| window.contains(day, minute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-11-23, and so many days and minutes later.
    fn at(days: u64, hour: u64, minute: u64) -> SystemTime {
        let monday = 1_795_392_000;
        SystemTime::UNIX_EPOCH
            + Duration::from_secs(monday + days * SECONDS_A_DAY + hour * 3_600 + minute * 60)
    }

    fn of(windows: &[(&str, u8)]) -> OffPeak {
        let parse = |(hours, days): &(&str, u8)| Window::parse(hours, *days).unwrap();
        OffPeak {
            windows: windows.iter().map(parse).collect(),
            rates: Rates::default(),
        }
    }

    #[test]
    fn a_window_begins_with_its_minute_and_ends_before_its_last() {
        let off_peak = of(&[("04:00-06:00", EVERY_DAY)]);
        assert!(!off_peak.is_at(at(0, 3, 59)));
        assert!(off_peak.is_at(at(0, 4, 0)));
        assert!(off_peak.is_at(at(6, 5, 59)));
        assert!(!off_peak.is_at(at(0, 6, 0)));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let off_peak = of(&[("16:30-00:30", days([1]))]);
        assert!(off_peak.is_at(at(0, 23, 59)));
        assert!(off_peak.is_at(at(1, 0, 29)));
        assert!(!off_peak.is_at(at(1, 0, 30)));
        assert!(!off_peak.is_at(at(1, 23, 0)));
        assert!(!off_peak.is_at(at(0, 0, 10)));
        // Sunday's runs into Monday
        assert!(of(&[("23:00-01:00", days([7]))]).is_at(at(0, 0, 59)));
    }

    #[test]
    fn midnight_at_the_end_is_the_days_end_and_equal_ends_are_the_day() {
        let off_peak = of(&[("10:00-00:00", days(1..=5)), ("00:00-00:00", days([6, 7]))]);
        assert!(!off_peak.is_at(at(4, 9, 59)));
        assert!(off_peak.is_at(at(4, 23, 59)));
        assert!(off_peak.is_at(at(5, 0, 0)));
        assert!(off_peak.is_at(at(6, 12, 0)));
        assert!(!off_peak.is_at(at(7, 0, 0)));
    }

    #[test]
    fn what_is_no_window_is_none() {
        for hours in ["", "4-6", "25:00-01:00", "04:60-05:00", "04:00", "a:b-c:d"] {
            assert_eq!(Window::parse(hours, EVERY_DAY), None, "{hours}");
        }
    }
}
