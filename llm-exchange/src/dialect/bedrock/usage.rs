//! Usage as Converse writes it.

use serde::Deserialize;

use crate::{
    Usage,
    dialect::json::{MaybeCount, Text},
    meter::Reading,
};

/// Three counts of the prompt beside each other, as Anthropic's.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wired<'a> {
    input_tokens: MaybeCount,
    output_tokens: MaybeCount,
    cache_read_input_tokens: MaybeCount,
    cache_write_input_tokens: MaybeCount,
    #[serde(borrow)]
    cache_details: Option<Vec<Written<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(borrow)]
    ttl: Option<Text<'a>>,
    #[serde(default)]
    input_tokens: MaybeCount,
}

/// The usage at the start of the bytes.
pub(super) fn read(json: &[u8], reading: &mut Reading) {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<Wired<'_>>();
    let Some(Ok(usage)) = values.next() else {
        return;
    };
    if usage.input_tokens.0.is_none() && usage.output_tokens.0.is_none() {
        return;
    }
    let count = |count: MaybeCount| count.0.unwrap_or(0);
    let written = count(usage.cache_write_input_tokens);
    let details = usage.cache_details.iter().flatten();
    let long = details
        .filter(|one| one.ttl.as_ref().is_some_and(|ttl| ttl.0 == "1h"))
        .map(|one| count(one.input_tokens))
        .fold(0, u64::saturating_add)
        .min(written);
    reading.set_usage(Usage {
        uncached: count(usage.input_tokens),
        cached: count(usage.cache_read_input_tokens),
        cache_write: written - long,
        cache_write_long: long,
        visible: count(usage.output_tokens),
        ..Usage::default()
    });
}
