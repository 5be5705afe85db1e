//! Values that several sections take.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de::Error as _};

/// No duration of the file may be longer: a slip of the unit is told at the start.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

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
