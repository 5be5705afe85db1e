//! LiteLLM's `model_prices_and_context_window.json`, as it is.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    InvalidPrices,
    off_peak::{EVERY_DAY, OffPeak, Window, days},
    rate::{Factor, Rate},
    rates::{ModelPrice, Overlay, Rates, Service},
};

/// In the order of their names, so that two of one meaning are read the same each time.
type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// What was read, and how many entries could not be.
pub(crate) struct Read {
    pub(crate) models: Vec<(String, ModelPrice)>,
    pub(crate) skipped: usize,
}

/// Reads the list. An entry without prices of tokens (of images, of pages) is left out; one whose
/// prices can't be read is counted, and costs only itself.
pub(crate) fn read(text: &str) -> Result<Read, InvalidPrices> {
    let entries: HashMap<String, &RawValue> = serde_json::from_str(text)
        .map_err(|error| InvalidPrices::at(error.line(), "it is not JSON"))?;
    let mut read = Read {
        models: Vec::new(),
        skipped: 0,
    };
    for (name, entry) in entries {
        // the list explains itself in its first entry
        if name == "sample_spec" {
            continue;
        }
        match serde_json::from_str::<Fields<'_>>(entry.get())
            .ok()
            .and_then(|fields| price(&fields))
        {
            Some(price) if has_price(&price) => read.models.push((name, price)),
            Some(_) => {}
            None => read.skipped += 1,
        }
    }
    Ok(read)
}

fn has_price(price: &ModelPrice) -> bool {
    let base = &price.base;
    base.input.is_some() || base.output.is_some()
}

/// `None`: a price in it can't be read.
fn price(fields: &Fields<'_>) -> Option<ModelPrice> {
    let mut price = ModelPrice {
        base: rates(fields, 0, None)?,
        ..ModelPrice::default()
    };
    if let Some(provider) = fields.get("litellm_provider") {
        price.provider = serde_json::from_str::<String>(provider.get()).ok()?.into();
    }
    let mut seen = Vec::new();
    for name in fields.keys() {
        let Some((_, above, service)) = field(name) else {
            continue;
        };
        if (above, service) != (0, None) && !seen.contains(&(above, service)) {
            seen.push((above, service));
            let rates = rates(fields, above, service)?;
            price.overlays.push(Overlay {
                above,
                service,
                rates,
            });
        }
    }
    if let Some(tiers) = fields.get("tiered_pricing") {
        tiered(&mut price, tiers)?;
    }
    if let Some(off_peak) = fields.get("off_peak_pricing") {
        price.off_peak = Some(read_off_peak(off_peak)?);
    }
    if let Some(entry) = fields.get("provider_specific_entry") {
        // of some models other things than factors stand here
        for (name, factor) in serde_json::from_str::<Fields<'_>>(entry.get()).ok()? {
            if let Some(factor) = Factor::parse(number(factor)) {
                price.factors.push((name.into(), factor));
            }
        }
    }
    for region in ["eu", "us"] {
        let name = format!("regional_processing_uplift_multiplier_{region}");
        if let Some(factor) = fields.get(name.as_str()) {
            price
                .regions
                .push((region.into(), Factor::parse(number(factor))?));
        }
    }
    if let Some(sizes) = fields.get("search_context_cost_per_query") {
        let sizes: Fields<'_> = serde_json::from_str(sizes.get()).ok()?;
        let fee = |size: &RawValue| Rate::per_unit(number(size));
        let medium = sizes.get("search_context_size_medium");
        // which size it was no answer says; without the usual one the dearest counts
        let dearest = || sizes.values().filter_map(|size| fee(size)).max();
        price.search = medium.and_then(|size| fee(size)).or_else(dearest);
    }
    Some(price)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Input,
    Cached,
    CacheWrite,
    CacheWriteLong,
    AudioInput,
    Output,
    Reasoning,
    AudioOutput,
}

/// The longer before those that they begin with.
const ITEMS: [(&str, Item); 9] = [
    (
        "cache_creation_input_token_cost_above_12hr",
        Item::CacheWriteLong,
    ),
    (
        "cache_creation_input_token_cost_above_1hr",
        Item::CacheWriteLong,
    ),
    ("cache_creation_input_token_cost", Item::CacheWrite),
    ("cache_read_input_token_cost", Item::Cached),
    ("input_cost_per_audio_token", Item::AudioInput),
    ("input_cost_per_token", Item::Input),
    ("output_cost_per_audio_token", Item::AudioOutput),
    ("output_cost_per_reasoning_token", Item::Reasoning),
    ("output_cost_per_token", Item::Output),
];

/// Which price a field gives: of what, for prompts above which size, for which service.
/// `input_cost_per_token_above_272k_tokens_priority`, in either order.
fn field(name: &str) -> Option<(Item, u64, Option<Service>)> {
    let (rest, item) = ITEMS
        .iter()
        .find_map(|(start, item)| Some((name.strip_prefix(start)?, *item)))?;
    let (mut rest, mut above, mut service) = (rest, 0, None);
    while !rest.is_empty() {
        if let Some(sized) = rest.strip_prefix("_above_") {
            let (size, after) = sized.split_once("k_tokens")?;
            above = size.parse::<u64>().ok()?.checked_mul(1_000)?;
            rest = after;
        } else {
            let word = rest.strip_prefix('_')?;
            let end = word.find('_').unwrap_or(word.len());
            service = Some(Service::of(&word[..end])?);
            rest = &word[end..];
        }
    }
    Some((item, above, service))
}

/// The rates of one size and service. `None`: one of them can't be read.
fn rates(fields: &Fields<'_>, above: u64, service: Option<Service>) -> Option<Rates> {
    let mut rates = Rates::default();
    for (name, value) in fields {
        let Some((item, of, by)) = field(name) else {
            continue;
        };
        if (of, by) != (above, service) || value.get() == "null" {
            continue;
        }
        let rate = Some(Rate::per_unit(number(value))?);
        let slot = match item {
            Item::Input => &mut rates.input,
            Item::Cached => &mut rates.cached,
            Item::CacheWrite => &mut rates.cache_write,
            // an answer says that a write lives long, not how long: of two lives the dearer counts
            Item::CacheWriteLong => {
                rates.cache_write_long = rates.cache_write_long.max(rate);
                continue;
            }
            Item::AudioInput => &mut rates.audio_input,
            Item::Output => &mut rates.output,
            Item::Reasoning => &mut rates.reasoning,
            Item::AudioOutput => &mut rates.audio_output,
        };
        // of two spellings the first one, with the size before the service, is the present one
        *slot = slot.or(rate);
    }
    if rates.cached.is_none()
        && let (0, None, Some(hit)) = (above, service, fields.get("input_cost_per_token_cache_hit"))
    {
        rates.cached = Rate::per_unit(number(hit));
    }
    Some(rates)
}

/// A number, which some lists put in quotes.
fn number(value: &RawValue) -> &str {
    value.get().trim_matches('"')
}

/// One set of rates for each size of prompt; the first is the base.
fn tiered(price: &mut ModelPrice, tiers: &RawValue) -> Option<()> {
    for tier in serde_json::from_str::<Vec<Fields<'_>>>(tiers.get()).ok()? {
        // tiers of search results have another range
        let Some(range) = tier.get("range") else {
            continue;
        };
        let range: [f64; 2] = serde_json::from_str(range.get()).ok()?;
        let rates = rates(&tier, 0, None)?;
        let above = range[0].max(0.0) as u64;
        if above == 0 {
            price.base = rates;
        } else {
            price.overlays.push(Overlay {
                above,
                service: None,
                rates,
            });
        }
    }
    Some(())
}

#[derive(Deserialize)]
struct OffPeakWindow {
    hours_utc: OneOrMore,
    weekdays: Option<Vec<u64>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OffPeakWindow {
    fn windows(&self) -> Option<Vec<Window>> {
        let on = self.weekdays.as_ref();
        let on = on.map_or(EVERY_DAY, |numbers| days(numbers.iter().copied()));
        let hours = match &self.hours_utc {
            OneOrMore::One(hours) => std::slice::from_ref(hours),
            OneOrMore::More(hours) => hours,
        };
        hours.iter().map(|hours| Window::parse(hours, on)).collect()
    }
}

/// The windows stand in a list or directly in the block, and so do the rates.
fn read_off_peak(block: &RawValue) -> Option<OffPeak> {
    let fields: Fields<'_> = serde_json::from_str(block.get()).ok()?;
    let windows: Vec<OffPeakWindow> = match fields.get("windows") {
        Some(windows) => serde_json::from_str(windows.get()).ok()?,
        None => vec![serde_json::from_str(block.get()).ok()?],
    };
    let windows: Option<Vec<_>> = windows.iter().map(OffPeakWindow::windows).collect();
    let rates = match fields.get("rates") {
        Some(inner) => rates(&serde_json::from_str(inner.get()).ok()?, 0, None)?,
        None => rates(&fields, 0, None)?,
    };
    Some(OffPeak {
        windows: windows?.concat(),
        rates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_with_size_and_service_in_either_order() {
        let of = |name| field(name).map(|(_, above, service)| (above, service));
        let priority = Some(Service::Priority);
        for (name, found) in [
            ("input_cost_per_token", Some((0, None))),
            (
                "input_cost_per_token_above_272k_tokens_priority",
                Some((272_000, priority)),
            ),
            (
                "input_cost_per_token_priority_above_200k_tokens",
                Some((200_000, priority)),
            ),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                Some((200_000, None)),
            ),
            (
                "output_cost_per_token_batches",
                Some((0, Some(Service::Batch))),
            ),
            ("input_cost_per_token_cache_hit", None),
            ("input_cost_per_token_balanced", None),
            ("input_cost_per_token_above_xk_tokens", None),
            ("input_dbu_cost_per_token", None),
            ("output_cost_per_image", None),
        ] {
            assert_eq!(of(name), found, "{name}");
        }
        let long = field("cache_creation_input_token_cost_above_12hr").unwrap();
        assert!(long.0 == Item::CacheWriteLong && long.1 == 0);
    }

    #[test]
    fn an_entry_that_cannot_be_read_costs_only_itself() {
        let read = read(
            r#"{"sample_spec": {"input_cost_per_token": 0.0, "mode": "one of"},
                "a": {"input_cost_per_token": "2e-06", "output_cost_per_token": 1},
                "b": {"input_cost_per_token": -1},
                "c": {"input_cost_per_token": []},
                "d": 7,
                "e": {"output_cost_per_image": 0.04},
                "f": {"input_cost_per_token": null, "output_cost_per_token": 0}}"#,
        )
        .unwrap();
        let mut names: Vec<_> = read.models.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!((names, read.skipped), (vec!["a", "f"], 3));
    }
}
