//! Over which time a limit counts.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A rolling window is counted in so many parts. The oldest counts whole until it has left the window,
/// so a limit holds over *any* such time, and frees up to a sixtieth late.
pub(crate) const PARTS: u64 = 60;

/// The calendar by which days and months begin.
///
/// The default is UTC.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Zone(Option<TimeZone>);

/// There is no time zone of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownZone(());

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no time zone of this name, such as \"Europe/Berlin\"")
    }
}

impl std::error::Error for UnknownZone {}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self(None);

    /// The zone of this name in the IANA database (`Europe/Berlin`), as the system has it.
    ///
    /// # Errors
    ///
    /// [`UnknownZone`]: there is none, or the system has no database.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Self::UTC);
        }
        TimeZone::get(name)
            .map(|zone| Self(Some(zone)))
            .map_err(|_| UnknownZone(()))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.as_ref().map_or(Some("UTC"), TimeZone::iana_name);
        f.write_str(name.unwrap_or("Zone"))
    }
}

/// Over which time a limit counts.
///
/// A call counts in the window in which it ends.
#[derive(Clone)]
pub struct Window(Kind);

#[derive(Clone)]
enum Kind {
    Calendar {
        unit: Unit,
        zone: Zone,
        /// The last period that was asked for: its first minute and its length in minutes. Zones cost
        /// a hundred times what a comparison does.
        last: Arc<AtomicU64>,
    },
    Rolling(u64),
    Total,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Minute,
    Hour,
    Day,
    Month,
}

/// From when until when a calendar window goes, in milliseconds since 1970; the end is the start of
/// the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first millisecond.
    pub start: u64,
    /// The first millisecond after it.
    pub end: u64,
}

impl Window {
    /// Each minute of the clock.
    #[must_use]
    pub fn minute() -> Self {
        Self::calendar(Unit::Minute, &Zone::UTC)
    }

    /// Each hour of the zone's clock.
    #[must_use]
    pub fn hour(zone: &Zone) -> Self {
        Self::calendar(Unit::Hour, zone)
    }

    /// Each day of the zone's calendar, from its first moment on, whatever the clocks do then.
    #[must_use]
    pub fn day(zone: &Zone) -> Self {
        Self::calendar(Unit::Day, zone)
    }

    /// Each month of the zone's calendar.
    #[must_use]
    pub fn month(zone: &Zone) -> Self {
        Self::calendar(Unit::Month, zone)
    }

    /// The last so much time before now, at least 60 ms. It is counted in 60 parts: what was used
    /// is forgotten between the length of the window and a sixtieth more after it was used, so that
    /// the limit holds over every such time.
    #[must_use]
    pub fn rolling(length: Duration) -> Self {
        let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        // a century is as good as for ever, and can be added to a time
        Self(Kind::Rolling(length.clamp(PARTS, 36_525 * DAY)))
    }

    /// All time.
    #[must_use]
    pub const fn total() -> Self {
        Self(Kind::Total)
    }

    fn calendar(unit: Unit, zone: &Zone) -> Self {
        Self(Kind::Calendar {
            unit,
            zone: zone.clone(),
            last: Arc::default(),
        })
    }

    /// The same by another calendar.
    pub(crate) fn in_zone(self, zone: &Zone) -> Self {
        match self.0 {
            Kind::Calendar { unit, .. } => Self::calendar(unit, zone),
            kind => Self(kind),
        }
    }

    /// A short name: `day`, `rolling-3600s`.
    pub(crate) fn name(&self) -> String {
        match &self.0 {
            Kind::Calendar { unit, .. } => unit.as_str().into(),
            Kind::Rolling(length) if length.is_multiple_of(1_000) => {
                format!("rolling-{}s", length / 1_000)
            }
            Kind::Rolling(length) => format!("rolling-{length}ms"),
            Kind::Total => "total".into(),
        }
    }

    /// What makes it the same window as another one, wherever that was written.
    pub(crate) const fn form(&self) -> Form {
        match &self.0 {
            Kind::Calendar { unit, .. } => Form::Calendar(*unit),
            Kind::Rolling(length) => Form::Rolling(length.div_ceil(PARTS)),
            Kind::Total => Form::Total,
        }
    }

    /// The length of one part of a rolling window, in milliseconds. `None`: it is no rolling one.
    #[must_use]
    pub const fn part(&self) -> Option<u64> {
        match &self.0 {
            Kind::Rolling(length) => Some(length.div_ceil(PARTS)),
            Kind::Calendar { .. } | Kind::Total => None,
        }
    }

    /// The period in which a moment lies, in milliseconds since 1970. Of a rolling window, the part;
    /// of all time, all time.
    #[must_use]
    pub fn period(&self, now: u64) -> Period {
        match &self.0 {
            Kind::Total => Period {
                start: 0,
                end: u64::MAX,
            },
            Kind::Rolling(length) => floor(now, length.div_ceil(PARTS)),
            Kind::Calendar { unit, zone, last } => {
                if let Some(period) = unpack(last.load(Relaxed), now) {
                    return period;
                }
                let period = unit.period(zone, now);
                last.store(pack(period), Relaxed);
                period
            }
        }
    }
}

/// A window's kind and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Calendar(Unit),
    /// The length of one part.
    Rolling(u64),
    Total,
}

impl Form {
    /// As it is kept.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Calendar(unit) => unit.as_str(),
            Self::Rolling(_) => "rolling",
            Self::Total => "total",
        }
    }
}

impl Unit {
    pub(crate) const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Month];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    fn period(self, zone: &Zone, now: u64) -> Period {
        let found = match (&zone.0, self) {
            (_, Self::Minute) => return floor(now, MINUTE),
            (None, Self::Hour) => return floor(now, HOUR),
            (None, Self::Day) => return floor(now, DAY),
            (None, Self::Month) => month(&TimeZone::UTC, now),
            (Some(zone), Self::Hour) => hour(zone, now),
            (Some(zone), Self::Day) => day(zone, now),
            (Some(zone), Self::Month) => month(zone, now),
        };
        // a clock beyond the calendar's end: some window is better than none
        found
            .filter(|period| period.start <= now && now < period.end)
            .unwrap_or_else(|| floor(now, DAY))
    }
}

const fn floor(now: u64, length: u64) -> Period {
    let start = now - now % length;
    Period {
        start,
        end: start.saturating_add(length),
    }
}

/// An hour of the wall clock; where the clocks change within it, it is two.
fn hour(zone: &TimeZone, now: u64) -> Option<Period> {
    let at = timestamp(now)?;
    let offset = i64::from(zone.to_offset(at).seconds()) * 1_000;
    let local = at.as_millisecond().checked_add(offset)?;
    let start = local - local.rem_euclid(HOUR as i64) - offset;
    let mut period = Period {
        start: u64::try_from(start).ok()?,
        end: u64::try_from(start + HOUR as i64).ok()?,
    };
    let after = timestamp(now + 1)?;
    if let Some(change) = zone.preceding(after).next() {
        // one before 1970 is before every window
        period.start = period.start.max(millis(change.timestamp()).unwrap_or(0));
    }
    if let Some(change) = zone.following(at).next() {
        period.end = period.end.min(millis(change.timestamp())?);
    }
    Some(period)
}

fn day(zone: &TimeZone, now: u64) -> Option<Period> {
    let date = timestamp(now)?.to_zoned_datetime(zone.clone()).date();
    between(zone, date, date.tomorrow().ok()?)
}

fn month(zone: &TimeZone, now: u64) -> Option<Period> {
    let date = timestamp(now)?.to_zoned_datetime(zone.clone()).date();
    between(
        zone,
        date.first_of_month(),
        date.last_of_month().tomorrow().ok()?,
    )
}

/// From the first moment of the one day until that of the other.
fn between(zone: &TimeZone, first: Date, next: Date) -> Option<Period> {
    let start = |date: Date| {
        let noon = date.at(12, 0, 0, 0).to_zoned_datetime(zone.clone()).ok()?;
        u64::try_from(noon.start_of_day().ok()?.timestamp().as_millisecond()).ok()
    };
    Some(Period {
        // the first day of 1970 began in 1969 in half of the world
        start: start(first).unwrap_or(0),
        end: start(next)?,
    })
}

fn timestamp(now: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(now).ok()?).ok()
}

fn millis(at: Timestamp) -> Option<u64> {
    // rounded up: the change is not before it
    let whole = at.as_millisecond();
    let rest = i64::from(at.subsec_nanosecond() % 1_000_000 != 0);
    u64::try_from(whole + rest).ok()
}

/// Both numbers in one atomic, so that they are of one period. 0 is none.
fn pack(period: Period) -> u64 {
    let whole = period.start.is_multiple_of(MINUTE) && period.end.is_multiple_of(MINUTE);
    let start = u32::try_from(period.start / MINUTE);
    let length = u32::try_from((period.end - period.start) / MINUTE);
    match (whole, start, length) {
        (true, Ok(start), Ok(length)) => u64::from(start) << 32 | u64::from(length),
        _ => 0,
    }
}

fn unpack(packed: u64, now: u64) -> Option<Period> {
    let start = (packed >> 32) * MINUTE;
    let end = start + (packed & u64::from(u32::MAX)) * MINUTE;
    (start <= now && now < end).then_some(Period { start, end })
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> u64 {
        let at: Timestamp = text.parse().unwrap();
        at.as_millisecond() as u64
    }

    fn day_at(zone: &str, now: &str) -> (String, String) {
        let window = Window::day(&Zone::named(zone).unwrap());
        let period = window.period(at(now));
        let text = |millis: u64| timestamp(millis).unwrap().to_string();
        (text(period.start), text(period.end))
    }

    fn day_is(zone: &str, now: &str, start: &str, end: &str) {
        assert_eq!(
            day_at(zone, now),
            (start.into(), end.into()),
            "{zone} {now}"
        );
    }

    #[test]
    fn a_day_has_23_24_or_25_hours_and_begins_when_its_first_moment_is() {
        let berlin = "Europe/Berlin";
        day_is(
            berlin,
            "2026-11-23T12:00:00Z",
            "2026-11-22T23:00:00Z",
            "2026-11-23T23:00:00Z",
        );
        day_is(
            berlin,
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        );
        day_is(
            berlin,
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
        );
        // midnight did not exist
        day_is(
            "America/Sao_Paulo",
            "2018-11-04T12:00:00Z",
            "2018-11-04T03:00:00Z",
            "2018-11-05T02:00:00Z",
        );
        // nor did all of that day
        day_is(
            "Pacific/Apia",
            "2011-12-30T09:59:59Z",
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
        );
        day_is(
            "Pacific/Apia",
            "2011-12-30T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z",
        );
    }

    #[test]
    fn a_month_has_its_own_length() {
        let month = |now| Window::month(&Zone::UTC).period(at(now));
        let days = |period: Period| (period.end - period.start) / DAY;
        assert_eq!(days(month("2026-02-10T00:00:00Z")), 28);
        assert_eq!(days(month("2028-02-29T23:59:59Z")), 29);
        assert_eq!(days(month("2026-12-31T23:59:59Z")), 31);
        assert_eq!(
            month("2026-12-31T23:59:59Z").end,
            at("2027-01-01T00:00:00Z")
        );
    }

    #[test]
    fn an_hour_of_a_zone_begins_when_its_clock_shows_a_whole_hour() {
        let hour = |zone, now| Window::hour(&Zone::named(zone).unwrap()).period(at(now));
        assert_eq!(
            hour("Asia/Kolkata", "2026-11-23T12:10:00Z").start,
            at("2026-11-23T11:30:00Z")
        );
        // half an hour is left out there when summer begins, within an hour
        let howe = hour("Australia/Lord_Howe", "2026-10-03T15:30:00Z");
        assert_eq!(howe.start, at("2026-10-03T15:30:00Z"));
        assert_eq!(howe.end, at("2026-10-03T16:00:00Z"));
    }

    #[test]
    fn a_zone_is_known_by_name_or_not_at_all() {
        assert_eq!(Zone::named("utc"), Ok(Zone::UTC));
        assert!(Zone::named("Mars/Olympus").is_err());
        assert_eq!(
            format!("{:?}", Zone::named("Europe/Berlin").unwrap()),
            "Europe/Berlin"
        );
    }

    proptest! {
        #[test]
        fn windows_follow_each_other_without_gap_or_overlap(
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata",
                "Pacific/Apia", "Africa/Casablanca", "America/St_Johns", "Asia/Kathmandu",
            ]),
            // 1995 to 2045
            now in 788_918_400_000u64..2_366_841_600_000,
        ) {
            let zone = Zone::named(zone).unwrap();
            for window in [
                Window::minute(), Window::hour(&zone), Window::day(&zone), Window::month(&zone),
                Window::rolling(Duration::from_secs(7_777)),
            ] {
                let mut moment = now;
                for _ in 0..4 {
                    let period = window.period(moment);
                    prop_assert!(period.start <= moment && moment < period.end, "{window:?}");
                    prop_assert_eq!(window.period(period.start), period);
                    prop_assert_eq!(window.period(period.end - 1), period);
                    let next = window.period(period.end);
                    prop_assert_eq!(next.start, period.end);
                    prop_assert_eq!(window.period(period.start - 1).end, period.start);
                    moment = period.end;
                }
            }
        }

        #[test]
        fn no_moment_is_too_far(now in any::<u64>()) {
            let zone = Zone::named("Europe/Berlin").unwrap();
            for window in [
                Window::minute(), Window::hour(&zone), Window::day(&zone), Window::month(&zone),
                Window::rolling(Duration::MAX), Window::rolling(Duration::ZERO), Window::total(),
            ] {
                let period = window.period(now);
                prop_assert!(period.start <= now && (now < period.end || period.end == u64::MAX));
            }
        }
    }
}
