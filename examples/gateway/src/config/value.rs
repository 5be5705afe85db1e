//! Values that several sections take.

use std::time::Duration;

use jiff::SignedDuration;
use llm_exchange::Money;
use serde::{Deserialize, Deserializer, de::Error as _};

/// No duration of the file may be longer: a slip of the unit is told at the start.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A number of bytes with its unit, such as `"256MiB"`.
pub(super) fn bytes<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(value)?;
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let shift = match unit.trim_start() {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => u32::MAX,
    };
    let number = text[..text.len() - unit.len()].parse::<u64>().ok();
    number
        .filter(|number| *number > 0)
        .and_then(|number| number.checked_mul(1_u64.checked_shl(shift)?))
        .map(Some)
        .ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no number of bytes such as \"64KiB\" or \"256MiB\""
            ))
        })
}

/// A duration with its unit, such as `"1m30s"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(value)?;
    let read = text
        .parse::<SignedDuration>()
        .ok()
        .and_then(|signed| Duration::try_from(signed).ok())
        .ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no duration such as \"1s\", \"250ms\" or \"1m30s\""
            ))
        })?;
    if read > LONGEST {
        return Err(D::Error::custom(format!("{text:?} is longer than a day")));
    }
    Ok(Some(read))
}

/// A duration that is more than nothing, for what is off when it is not set.
pub(super) fn some_time<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    let read = duration(value)?;
    if read.is_some_and(|read| read.is_zero()) {
        let message = "no time at all is no setting: leave it out, and it is off";
        return Err(D::Error::custom(message));
    }
    Ok(read)
}

/// An amount of US dollars, such as `0.10`.
pub(super) fn dollars<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Money>, D::Error> {
    let dollars = f64::deserialize(value)?;
    let money = format!("{dollars}").parse();
    money
        .map(Some)
        .map_err(|_| D::Error::custom(format!("{dollars} is no amount of dollars")))
}

/// What an environment variable has, without the spaces around it.
pub(super) fn variable(
    name: &str,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
    if !is_name {
        // it may be the secret itself: it is not shown
        return Err("it takes the name of an environment variable, not the key".into());
    }
    match env(name) {
        Some(value) if !value.trim().is_empty() => Ok(value.trim().to_owned()),
        Some(_) => Err(format!("the environment variable {name} is empty")),
        None => Err(format!("the environment variable {name} is not set")),
    }
}
