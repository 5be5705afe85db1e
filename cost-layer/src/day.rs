//! Calendar days in UTC, by arithmetic.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

const SECONDS: u64 = 24 * 60 * 60;

/// A calendar day in UTC, from 1970 on: what daily reports and limits go by.
///
/// ```
/// use cost_layer::Day;
///
/// let day: Day = "2026-11-23".parse()?;
/// assert_eq!(Day::of(day.start()), day);
/// assert_eq!(day.next().to_string(), "2026-11-24");
/// # Ok::<_, cost_layer::InvalidDay>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

/// A text is no day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDay(());

impl fmt::Display for InvalidDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a day is written 2026-11-23")
    }
}

impl std::error::Error for InvalidDay {}

impl Day {
    /// The day of a time; a time before 1970 is on the first of them.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        let days = since.unwrap_or(Duration::ZERO).as_secs() / SECONDS;
        Self(u32::try_from(days).unwrap_or(LAST))
    }

    pub(crate) fn new(year: u64, month: u64, day: u64) -> Option<Self> {
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        // days from 0000-03-01, the year taken to begin in March so that the odd day is its last
        let (year, month) = if month < 3 {
            (year - 1, month + 9)
        } else {
            (year, month - 3)
        };
        let of_year = (153 * month + 2) / 5 + day - 1;
        let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year;
        let found = Self(u32::try_from(days.checked_sub(719_468)?).ok()?);
        // 31 April is the first of May
        (found.parts().2 == day).then_some(found)
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(self.0) * SECONDS)
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1).min(LAST))
    }

    fn parts(self) -> (u64, u64, u64) {
        let days = u64::from(self.0) + 719_468;
        let era = days / 146_097;
        let of_era = days % 146_097;
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + u64::from(month <= 2);
        (year, month, day)
    }
}

/// The last day of 9999.
const LAST: u32 = 2_932_896;

impl FromStr for Day {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let mut parts = text.split('-').map(|part| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u64>().ok()).flatten()
        });
        let mut part = || parts.next().flatten();
        let (year, month, day) = (part(), part(), part());
        match (year, month, day, parts.next()) {
            (Some(year), Some(month), Some(day), None) => Self::new(year, month, day),
            _ => None,
        }
        .ok_or(InvalidDay(()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_is_read_as_it_is_written() {
        let mut day = Day(0);
        assert_eq!(day.to_string(), "1970-01-01");
        while day.0 < LAST {
            assert_eq!(day.to_string().parse(), Ok(day));
            day = day.next();
        }
        assert_eq!((day.to_string().as_str(), day.next()), ("9999-12-31", day));
    }

    #[test]
    fn what_is_no_day_is_none() {
        for text in [
            "",
            "2026-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "1969-12-31",
            "10000-01-01",
            "2026-1",
            "2026-01-01-01",
            "2026-01-+1",
            "20260101",
            "a-b-c",
        ] {
            assert_eq!(text.parse::<Day>(), Err(InvalidDay(())), "{text}");
        }
        assert!("2028-02-29".parse::<Day>().is_ok());
    }
}
