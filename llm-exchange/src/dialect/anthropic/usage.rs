//! Usage as Anthropic writes it: three counts of the prompt beside each other. In a stream they come
//! in parts: each field that is there replaces its last value, as all are cumulative.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::json::{MaybeCount, Text};
use crate::{
    Usage,
    meter::{Reading, UsageParts},
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts<'a> {
    input_tokens: MaybeCount,
    cache_creation_input_tokens: MaybeCount,
    cache_read_input_tokens: MaybeCount,
    cache_creation: Option<Creation>,
    output_tokens: MaybeCount,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<ServerTools>,
    #[serde(borrow)]
    service_tier: Option<Text<'a>>,
    #[serde(borrow)]
    speed: Option<Text<'a>>,
    #[serde(borrow)]
    inference_geo: Option<Text<'a>>,
    #[serde(borrow)]
    iterations: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Creation {
    ephemeral_5m_input_tokens: MaybeCount,
    ephemeral_1h_input_tokens: MaybeCount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: MaybeCount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServerTools {
    web_search_requests: MaybeCount,
}

/// Beside its counts, which model an iteration was of. `None`: of the answer's own.
#[derive(Deserialize)]
struct Iteration<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
}

impl Counts<'_> {
    pub(super) fn merge(&self, reading: &mut Reading) {
        self.put(&mut reading.parts);
        let searches = reading.parts.web_searches.unwrap_or(0);
        if let Some(iterations) = &self.iterations {
            reading.set_usage_parts(iterations.iter().filter_map(|raw| iteration(raw)));
        }
        // where the work had several parts, the totals beside them lack some
        let of_parts = reading.usage_parts().map(|(_, usage)| *usage);
        let sum = of_parts.reduce(Usage::plus);
        if let Some(mut usage) = sum.or_else(|| usage(&reading.parts)) {
            usage.web_searches = searches;
            reading.set_usage(usage);
        }
        for (value, set) in [
            (
                &self.service_tier,
                Reading::set_tier as fn(&mut Reading, &str),
            ),
            (&self.speed, Reading::set_speed),
            (&self.inference_geo, Reading::set_geo),
        ] {
            if let Some(value) = value {
                set(reading, &value.0);
            }
        }
    }

    fn put(&self, parts: &mut UsageParts) {
        let creation = self.cache_creation.as_ref();
        let details = self.output_tokens_details.as_ref();
        let tools = self.server_tool_use.as_ref();
        for (part, new) in [
            (&mut parts.input, self.input_tokens),
            (&mut parts.cached, self.cache_read_input_tokens),
            (&mut parts.cache_write, self.cache_creation_input_tokens),
            (
                &mut parts.cache_write_short,
                creation.map_or(MaybeCount(None), |of| of.ephemeral_5m_input_tokens),
            ),
            (
                &mut parts.cache_write_long,
                creation.map_or(MaybeCount(None), |of| of.ephemeral_1h_input_tokens),
            ),
            (&mut parts.output, self.output_tokens),
            (
                &mut parts.reasoning,
                details.map_or(MaybeCount(None), |of| of.thinking_tokens),
            ),
            (
                &mut parts.web_searches,
                tools.map_or(MaybeCount(None), |of| of.web_search_requests),
            ),
        ] {
            *part = new.0.or(*part);
        }
    }
}

fn iteration(raw: &RawValue) -> Option<(Option<Box<str>>, Usage)> {
    let counts: Counts<'_> = serde_json::from_str(raw.get()).ok()?;
    let of: Iteration<'_> = serde_json::from_str(raw.get()).ok()?;
    let mut parts = UsageParts::default();
    counts.put(&mut parts);
    Some((of.model.map(|model| model.0.into()), usage(&parts)?))
}

fn usage(parts: &UsageParts) -> Option<Usage> {
    if parts.input.is_none() && parts.output.is_none() {
        return None;
    }
    let output = parts.output.unwrap_or(0);
    let reasoning = parts.reasoning.unwrap_or(0).min(output);
    let (short, long) = (parts.cache_write_short, parts.cache_write_long);
    let long = long.unwrap_or(0);
    // the parts are their sum where that is not given
    let sum = short.unwrap_or(0).saturating_add(long);
    let written = parts.cache_write.unwrap_or(sum);
    let long = long.min(written);
    Some(Usage {
        uncached: parts.input.unwrap_or(0),
        cached: parts.cached.unwrap_or(0),
        cache_write: written - long,
        cache_write_long: long,
        visible: output - reasoning,
        reasoning,
        web_searches: parts.web_searches.unwrap_or(0),
        ..Usage::default()
    })
}

/// The usage at the start of the bytes.
pub(super) fn read(json: &[u8], reading: &mut Reading) {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<Counts<'_>>();
    if let Some(Ok(usage)) = values.next() {
        usage.merge(reading);
    }
}
