//! `[retry]`: the same provider again.

use std::time::Duration;

use retry_layer::{Backoff, InvalidBackoff, RetryLayer};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{ConfigError, value::duration};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetrySection {
    max_retries: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    initial_delay: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    max_delay: Option<Duration>,
    #[serde(default, deserialize_with = "multiplier")]
    multiplier: Option<f64>,
    #[serde(default, deserialize_with = "jitter")]
    jitter: Option<f64>,
    #[serde(default, deserialize_with = "duration")]
    max_hint: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    deadline: Option<Duration>,
}

impl RetrySection {
    pub(super) fn layer(self) -> Result<RetryLayer, ConfigError> {
        self.build()
            .map_err(|error| ConfigError(format!("[retry]: {error}")))
    }

    fn build(self) -> Result<RetryLayer, InvalidBackoff> {
        let mut backoff = Backoff::new();
        if let Some(delay) = self.initial_delay {
            backoff = backoff.initial(delay);
        }
        if let Some(delay) = self.max_delay {
            backoff = backoff.max(delay);
        }
        if let Some(factor) = self.multiplier {
            backoff = backoff.multiplier(factor)?;
        }
        if let Some(share) = self.jitter {
            backoff = backoff.jitter(share)?;
        }
        let mut layer = RetryLayer::new().backoff(backoff);
        if let Some(retries) = self.max_retries {
            layer = layer.max_retries(retries);
        }
        if let Some(delay) = self.max_hint {
            layer = layer.max_hint(delay);
        }
        if let Some(deadline) = self.deadline {
            layer = layer.deadline(deadline);
        }
        Ok(layer)
    }
}

// what the layer refuses is refused here, where the place in the file is known
fn multiplier<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    let factor = f64::deserialize(value)?;
    Backoff::new()
        .multiplier(factor)
        .map_err(D::Error::custom)?;
    Ok(Some(factor))
}

fn jitter<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    let share = f64::deserialize(value)?;
    Backoff::new().jitter(share).map_err(D::Error::custom)?;
    Ok(Some(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{PROVIDER, error};

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        for (line, says) in [
            (
                "jitter = 2.0",
                "[retry] jitter: the jitter must be within 0 and 1",
            ),
            ("jitter = nan", "[retry] jitter: the jitter must be"),
            (
                "multiplier = -1",
                "[retry] multiplier: the multiplier must be",
            ),
            (
                "multiplier = inf",
                "[retry] multiplier: the multiplier must be",
            ),
            ("max_retries = -1", "[retry] max_retries: invalid value"),
            ("max_retries = 1.5", "[retry] max_retries: invalid type"),
            (
                "initial_delay = \"soon\"",
                "[retry] initial_delay: \"soon\" is no duration",
            ),
            (
                "initial_delay = \"-1s\"",
                "[retry] initial_delay: \"-1s\" is no duration",
            ),
            (
                "max_delay = \"1\"",
                "[retry] max_delay: \"1\" is no duration",
            ),
            ("max_delay = 60", "[retry] max_delay: invalid type"),
            (
                "deadline = \"25h\"",
                "[retry] deadline: \"25h\" is longer than a day",
            ),
        ] {
            let text = error(&format!("{PROVIDER}[retry]\n{line}\n"));
            assert!(
                text.starts_with("line 5, ") && text.contains(says),
                "{line}: {text}"
            );
        }
    }

    #[test]
    fn durations_are_written_with_their_unit() {
        for (text, millis) in [("1s", 1000), ("250ms", 250), ("1m30s", 90_000), ("0s", 0)] {
            let section: RetrySection =
                toml::from_str(&format!("initial_delay = \"{text}\"")).unwrap();
            assert_eq!(section.initial_delay, Some(Duration::from_millis(millis)));
        }
    }
}
