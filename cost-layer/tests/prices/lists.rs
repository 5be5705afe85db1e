//! Price lists of both forms.

use cost_layer::{Day, PerMillion, Prices};
use llm_exchange::{Money, Price, Purchase, Usage};
use proptest::prelude::*;

/// In the form of LiteLLM's list, with each kind of entry that it has.
const LITELLM: &str = r#"{
  "sample_spec": {"input_cost_per_token": 0.0, "litellm_provider": "one of", "mode": "one of: chat"},
  "gpt-6-sol": {
    "input_cost_per_token": 2e-06, "cache_read_input_token_cost": 2e-07, "output_cost_per_token": 1e-05,
    "cache_creation_input_token_cost": 2.5e-06, "cache_creation_input_token_cost_above_12hr": 5e-06,
    "cache_creation_input_token_cost_above_12hr_above_272k_tokens": 1e-05,
    "cache_creation_input_token_cost_above_272k_tokens": 5e-06,
    "cache_read_input_token_cost_above_272k_tokens": 4e-07,
    "input_cost_per_token_above_272k_tokens": 4e-06, "output_cost_per_token_above_272k_tokens": 1.5e-05,
    "input_cost_per_token_batches": 1e-06, "output_cost_per_token_batches": 5e-06,
    "cache_read_input_token_cost_batches": 1e-07,
    "input_cost_per_token_above_272k_tokens_batches": 2e-06,
    "output_cost_per_token_above_272k_tokens_batches": 7.5e-06,
    "input_cost_per_token_priority": 4e-06, "output_cost_per_token_priority": 2e-05,
    "litellm_provider": "openai", "max_input_tokens": 922000, "mode": "chat",
    "regional_processing_uplift_multiplier_eu": 1.1, "regional_processing_uplift_multiplier_us": 1.1,
    "search_context_cost_per_query": {"search_context_size_medium": 0.01}, "supports_vision": true},
  "claude-opus-5-5": {
    "input_cost_per_token": 4e-06, "cache_read_input_token_cost": 2e-07, "output_cost_per_token": 2e-05,
    "cache_creation_input_token_cost": 5e-06, "cache_creation_input_token_cost_above_1hr": 8e-06,
    "input_cost_per_token_batches": 2e-06, "output_cost_per_token_batches": 1e-05,
    "litellm_provider": "anthropic", "provider_specific_entry": {"us": 1.1, "fast": 2},
    "search_context_cost_per_query": {"search_context_size_high": 0.01, "search_context_size_medium": 0.01}},
  "xai/grok-4.7": {
    "input_cost_per_token": 2e-06, "cache_read_input_token_cost": 5e-07, "output_cost_per_token": 6e-06,
    "input_cost_per_token_above_200k_tokens": 4e-06, "cache_read_input_token_cost_above_200k_tokens": 1e-06,
    "output_cost_per_token_above_200k_tokens": 1.2e-05, "litellm_provider": "xai",
    "input_cost_per_token_batches": 1.6e-06, "output_cost_per_token_batches": 4.8e-06},
  "deepseek/deepseek-v4-pro": {
    "cache_creation_input_token_cost": 0.0, "input_cost_per_token_cache_hit": 4.4e-08,
    "input_cost_per_token": 1.32e-06, "output_cost_per_token": 3.96e-06, "litellm_provider": "deepseek",
    "off_peak_pricing": {
      "cache_read_input_token_cost": 2.2e-08, "input_cost_per_token": 6.6e-07, "output_cost_per_token": 1.98e-06,
      "windows": [{"hours_utc": ["00:00-01:00", "04:00-06:00", "10:00-00:00"], "weekdays": [1, 2, 3, 4, 5]},
                  {"hours_utc": "00:00-00:00", "weekdays": [6, 7]}]}},
  "dashscope/qwen-flash": {
    "litellm_provider": "dashscope", "tiered_pricing": [
      {"input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07, "range": [0, 256000.0]},
      {"input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06, "range": [256000.0, 1000000.0]}]},
  "1024-x-1024/dall-e": {"input_cost_per_image": 0.04, "litellm_provider": "openai"},
  "broken": {"input_cost_per_token": "dear", "litellm_provider": "openai"}
}"#;

/// Purchases that between them touch every price of a model.
fn purchases(model: &str) -> Vec<Purchase<'_>> {
    let mut all = Vec::new();
    for input in [1_000, 199_999, 200_000, 200_001, 272_000, 272_001, 600_000] {
        for tier in [None, Some("batch"), Some("priority")] {
            for (geo, hour) in [(None, 9), (Some("us"), 20)] {
                let mut usage = Usage::default();
                (usage.uncached, usage.cached) = (input - 700, 400);
                (usage.cache_write, usage.cache_write_long) = (200, 100);
                (usage.visible, usage.reasoning, usage.web_searches) = (50, 70, 1);
                let mut purchase = Purchase::new(model, usage);
                purchase.service_tier = tier;
                purchase.geo = geo;
                let time = std::time::Duration::from_secs(1_795_564_800 + hour * 3_600);
                purchase.at = Some(std::time::SystemTime::UNIX_EPOCH + time);
                all.push(purchase);
            }
        }
    }
    all
}

#[test]
fn both_lists_say_the_same_of_the_same_models() {
    let (list, json) = (Prices::builtin(), Prices::read(LITELLM).unwrap());
    for model in [
        "gpt-6-sol",
        "claude-opus-5-5",
        "xai/grok-4.7",
        "deepseek/deepseek-v4-pro",
    ] {
        for purchase in purchases(model) {
            assert_eq!(json.price(&purchase), list.price(&purchase), "{purchase:?}");
        }
    }
}

#[test]
fn an_entry_of_litellms_that_has_no_token_price_or_is_broken_is_not_known() {
    let prices = Prices::read(LITELLM).unwrap();
    assert_eq!((prices.len(), prices.skipped()), (5, 1));
    for model in ["sample_spec", "1024-x-1024/dall-e", "broken"] {
        assert!(!prices.knows(model), "{model}");
    }
}

#[test]
fn one_tier_is_chosen_for_the_whole_prompt() {
    let prices = Prices::read(LITELLM).unwrap();
    let price = |input| {
        prices
            .price(&Purchase::estimate("qwen-flash", input, 10))
            .map(Money::picos)
    };
    assert_eq!(price(256_000), Some(256_000 * 50_000 + 4_000_000));
    assert_eq!(price(256_001), Some(256_001 * 250_000 + 20_000_000));
}

#[test]
fn every_row_of_the_list_that_is_built_in_has_a_price() {
    let prices = Prices::builtin();
    let rows = include_str!("../../prices.csv").lines().skip(2);
    let rows: Vec<Vec<_>> = rows.map(|row| row.split(',').collect()).collect();
    assert_eq!((prices.len(), rows.len()), (77, 77));
    for row in rows {
        let (name, mode) = (row[0], row[2]);
        let of = |input, output| prices.price(&Purchase::estimate(name, input, output));
        assert!(
            of(1_000, 0).is_some_and(|price| price > Money::ZERO),
            "{name}"
        );
        if mode != "embedding" {
            assert!(
                of(0, 1_000).is_some_and(|price| price > Money::ZERO),
                "{name}"
            );
        }
    }
}

#[test]
fn the_list_that_is_built_in_has_a_date() {
    let prices = Prices::builtin();
    let date = Day::of(prices.date().unwrap());
    assert_eq!(date.to_string(), "2026-11-23");
    let later = date.start() + std::time::Duration::from_secs(90 * 24 * 3600);
    assert_eq!(prices.age(later).unwrap().as_secs(), 90 * 24 * 3600);
}

#[test]
fn the_apps_own_prices_come_first_its_aliases_after_the_table_and_its_fallback_last() {
    let price = |dollars: &str| PerMillion::new(dollars.parse().unwrap(), Money::ZERO);
    let prices = Prices::builtin()
        .model("gpt-4o", price("7"))
        .alias("gpt-4o-mini", "gpt-6-sol")
        .alias("deployment", "gpt-4o-mini")
        .alias("to-own", "gpt-4o");
    let cost = |prices: &Prices, model| {
        let price = prices.price(&Purchase::estimate(model, 1_000_000, 0));
        price.map(|price| price.to_string())
    };
    assert_eq!(cost(&prices, "gpt-4o").as_deref(), Some("$7.00"));
    assert_eq!(cost(&prices, "gpt-4o-mini").as_deref(), Some("$0.15"));
    assert_eq!(cost(&prices, "deployment").as_deref(), Some("$0.15"));
    assert_eq!(cost(&prices, "to-own").as_deref(), Some("$7.00"));
    assert_eq!(cost(&prices, "unheard-of"), None);
    let prices = prices.fallback(price("3"));
    assert_eq!(cost(&prices, "unheard-of").as_deref(), Some("$3.00"));
    assert!(!prices.knows("unheard-of"));
    let purchase = Purchase::estimate("unheard-of", 1, 0);
    assert!(
        prices
            .charge(&purchase, std::time::SystemTime::UNIX_EPOCH)
            .unwrap()
            .is_fallback
    );
}

#[test]
fn the_apps_own_price_counts_for_answers_that_name_a_snapshot_or_a_prefix() {
    let price = |dollars: &str| PerMillion::new(dollars.parse().unwrap(), Money::ZERO);
    let prices = Prices::builtin()
        .model("gpt-6-sol", price("7"))
        .model("gpt-6-sol-2026-12-24", price("8"));
    for (served, cost) in [
        ("gpt-6-sol-2026-09-22", "$7.00"),
        ("openai/gpt-6-sol", "$7.00"),
        ("openai/gpt-6-sol-2026-09-22", "$7.00"),
        ("gpt-6-sol-2026-12-24", "$8.00"),
        ("openai/gpt-6-sol-2026-12-24", "$8.00"),
        ("gpt-4o-mini", "$0.15"),
    ] {
        let price = prices.price(&Purchase::estimate(served, 1_000_000, 0));
        assert_eq!(price.unwrap().to_string(), cost, "{served}");
    }
    let prices = Prices::builtin().model("gpt-6-orbit", price("7"));
    assert!(prices.knows("gpt-6-orbit-2026-09-22"));
}

#[test]
fn what_is_no_list_is_refused_with_its_line() {
    for (text, says) in [
        ("", "it has no models"),
        ("{}", "it has no models"),
        ("{\n\"a\": {}", "line 2: it is not JSON"),
        (
            "model_key,input\na,1,2\n",
            "line 2: it has not as many cells",
        ),
        ("model_key,input\n,1\n", "line 2: it names no model"),
        (
            "# dated\nmodel_key,input\na,dear\n",
            "line 3: a cell is no price",
        ),
        (
            "model_key,notes\na,mult:us=x\n",
            "line 2: a cell is no price",
        ),
        ("<html>", "it has no models"),
    ] {
        let error = Prices::read(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    }
}

/// A list with some bytes of it written over, cut out or doubled.
fn damaged(list: &'static str) -> impl Strategy<Value = String> {
    let harm = (0..list.len(), 0..list.len(), "[ -~\\n]{0,12}");
    proptest::collection::vec(harm, 1..4).prop_map(|harms| {
        let mut bytes = list.as_bytes().to_vec();
        for (from, to, text) in harms {
            let (from, to) = (from.min(bytes.len()), to.min(bytes.len()));
            bytes.splice(from..to.max(from).min(from + 20), text.into_bytes());
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_damaged_list_is_refused_or_read_and_never_panics(
        text in prop_oneof![damaged(LITELLM), damaged(include_str!("../../prices.csv"))],
    ) {
        if let Ok(prices) = Prices::read(&text) {
            for purchase in purchases("gpt-6-sol").iter().chain(&purchases("deepseek-v4-pro")) {
                let _ = prices.charge(purchase, std::time::SystemTime::UNIX_EPOCH);
            }
        }
    }
}
