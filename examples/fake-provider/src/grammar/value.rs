//! The value of one option.

use std::{str::FromStr, time::Duration};

use super::Unreadable;
use crate::behaviour::{At, MOST_DELTAS};

pub(super) struct Value<'a> {
    pub(super) name: &'a str,
    pub(super) text: Option<&'a str>,
}

impl<'a> Value<'a> {
    pub(super) fn not(&self, wanted: &str) -> Unreadable {
        let got = self.text.unwrap_or("nothing");
        Unreadable(format!("{} takes {wanted}, not {got:?}", self.name))
    }

    pub(super) fn none<T>(&self, then: T) -> Result<T, Unreadable> {
        if self.text.is_some() {
            Err(self.not("no value"))
        } else {
            Ok(then)
        }
    }

    pub(super) fn some(&self) -> Result<&'a str, Unreadable> {
        self.text
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.not("a value"))
    }

    pub(super) fn parsed<T: FromStr>(&self, wanted: &str) -> Result<T, Unreadable> {
        self.some()?.parse().map_err(|_| self.not(wanted))
    }

    pub(super) fn number<T>(&self, least: T, most: T) -> Result<T, Unreadable>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let wanted = format!("a number of {least} to {most}");
        let number = self.parsed(&wanted)?;
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(self.not(&wanted))
        }
    }

    /// Up to a day.
    pub(super) fn ms(&self) -> Result<Duration, Unreadable> {
        self.number(0, 86_400_000).map(Duration::from_millis)
    }

    pub(super) fn count(&self) -> Result<Option<u64>, Unreadable> {
        self.text.map(|_| self.number(0, u64::MAX)).transpose()
    }

    pub(super) fn at(&self) -> Result<At, Unreadable> {
        match self.text {
            Some("open") => Ok(At::Opened),
            _ => self
                .number(0, MOST_DELTAS)
                .map(At::from)
                .map_err(|_| self.not("0, open or K")),
        }
    }

    /// One of these names.
    pub(super) fn one_of<T: Copy>(&self, all: &[(&str, T)]) -> Result<T, Unreadable> {
        let named = all.iter().find(|(name, _)| self.text == Some(name));
        named.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
            self.not(&names.join(", "))
        })
    }
}
