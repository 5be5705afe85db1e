//! `[breaker]`: no call to what is down.

use std::time::Duration;

use breaker_layer::{BreakerLayer, InvalidBreaker};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{ConfigError, value::duration};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerSection {
    #[serde(default, deserialize_with = "failures")]
    failure_threshold: Option<u32>,
    #[serde(default, deserialize_with = "successes")]
    success_threshold: Option<u32>,
    #[serde(default, deserialize_with = "open_time")]
    open_for: Option<Duration>,
}

impl BreakerSection {
    pub(super) fn layer(self) -> Result<BreakerLayer, ConfigError> {
        self.build()
            .map_err(|error| ConfigError(format!("[breaker]: {error}")))
    }

    fn build(self) -> Result<BreakerLayer, InvalidBreaker> {
        let mut layer = BreakerLayer::new();
        if let Some(in_a_row) = self.failure_threshold {
            layer = layer.failures(in_a_row)?;
        }
        if let Some(probes) = self.success_threshold {
            layer = layer.successes(probes)?;
        }
        if let Some(time) = self.open_for {
            layer = layer.open_for(time);
        }
        Ok(layer)
    }
}

// what the layer refuses is refused here, where the place in the file is known
fn failures<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    let in_a_row = u32::deserialize(value)?;
    let layer = BreakerLayer::new().failures(in_a_row);
    layer.map_err(D::Error::custom)?;
    Ok(Some(in_a_row))
}

fn successes<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    let probes = u32::deserialize(value)?;
    let layer = BreakerLayer::new().successes(probes);
    layer.map_err(D::Error::custom)?;
    Ok(Some(probes))
}

fn open_time<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    let time = duration(value)?;
    if time.is_some_and(|time| time.is_zero()) {
        let message = "a circuit that is open for no time refuses nothing: leave out [breaker]";
        return Err(D::Error::custom(message));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{PROVIDER, error};

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        for (line, says) in [
            (
                "failure_threshold = 0",
                "[breaker] failure_threshold: no failure in a row",
            ),
            (
                "success_threshold = 0",
                "[breaker] success_threshold: no probe",
            ),
            (
                "failure_threshold = 0.5",
                "[breaker] failure_threshold: invalid type",
            ),
            ("open_for = 30", "[breaker] open_for: invalid type"),
            ("open_for = \"0s\"", "[breaker] open_for: a circuit"),
            ("threshold = 5", "[breaker] threshold: unknown field"),
        ] {
            let text = error(&format!("{PROVIDER}[breaker]\n{line}\n"));
            assert!(
                text.starts_with("line 5, ") && text.contains(says),
                "{line}: {text}"
            );
        }
    }
}
