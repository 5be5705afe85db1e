//! Each kind of entry that LiteLLM's list has, and what is odd about it. The file is ours, in its form.

use std::time::{Duration, SystemTime};

use cost_layer::Prices;
use llm_exchange::{Price, Purchase, Usage};

const LIST: &str = include_str!("litellm.json");

fn list() -> Prices {
    Prices::read(LIST).unwrap()
}

/// In micro-dollars. A million tokens of what is set.
fn price(model: &str, set: impl FnOnce(&mut Purchase<'_>)) -> Option<u128> {
    let mut purchase = Purchase::new(model, Usage::default());
    set(&mut purchase);
    let picos = list().price(&purchase)?.picos();
    assert_eq!(picos % 1_000_000, 0, "{model}");
    Some(picos / 1_000_000)
}

fn input(tokens: u64) -> impl FnOnce(&mut Purchase<'_>) {
    move |purchase| purchase.usage.uncached = tokens
}

const K: u64 = 1_000;

#[test]
fn every_entry_is_a_price_or_none_and_only_what_is_broken_is_counted_as_such() {
    let prices = list();
    assert_eq!((prices.len(), prices.skipped()), (21, 4));
    for broken in ["negative", "words", "beyond-reason", "a-list"] {
        assert!(!prices.knows(&format!("example/{broken}")), "{broken}");
    }
    for unpriced in [
        "sample_spec",
        "1024-x-1024/example-image",
        "example/speech",
        "example/pages",
        "example/no-prices",
    ] {
        assert!(!prices.knows(unpriced), "{unpriced}");
    }
    for named in [
        "example/plain",
        "plain",
        "plain-2026-01-31",
        "ft:example-2024-08-06",
        "us.example.claude-v1:0",
        "example/Mixed-Case/Name-Instruct",
        "Mixed-Case/Name-Instruct",
        "example/embedding",
    ] {
        assert!(prices.knows(named), "{named}");
    }
}

#[test]
fn numbers_are_read_however_they_are_written_and_zero_is_a_price() {
    assert_eq!(price("example/numbers", input(K)), Some(2_000));
    let output = |purchase: &mut Purchase<'_>| purchase.usage.visible = K;
    assert_eq!(price("example/numbers", output), Some(12_000));
    let cached = |purchase: &mut Purchase<'_>| purchase.usage.cached = K;
    assert_eq!(price("example/numbers", cached), Some(0));
    // of a hit that is not listed the price is that of the prompt
    assert_eq!(price("example/plain", cached), Some(3_000));
    let reasoning = |purchase: &mut Purchase<'_>| purchase.usage.reasoning = K;
    assert_eq!(price("example/numbers", reasoning), Some(10_000));
    assert_eq!(price("example/free", input(K)), Some(0));
    assert_eq!(price("example/unheard-of", input(K)), None);
}

#[test]
fn of_two_lives_of_a_cache_write_the_dearer_counts_and_each_has_its_size() {
    let long = |tokens| move |purchase: &mut Purchase<'_>| purchase.usage.cache_write_long = tokens;
    let short = |tokens| move |purchase: &mut Purchase<'_>| purchase.usage.cache_write = tokens;
    for model in ["example/two-lives", "example/two-lives-the-other-way"] {
        // the order in which a list is read is not always the same
        for _ in 0..20 {
            assert_eq!(price(model, long(K)), Some(4_000), "{model}");
        }
        assert_eq!(price(model, short(K)), Some(1_250));
    }
    let model = "example/life-and-size";
    assert_eq!(price(model, long(K)), Some(3_000));
    assert_eq!(price(model, short(K)), Some(1_000));
    // "above" is a size here, and a time there
    assert_eq!(price(model, long(201 * K)), Some(201 * 6_000));
    assert_eq!(price(model, short(201 * K)), Some(201 * 2_000));
    assert_eq!(price(model, input(201 * K)), Some(201 * 2_000));
}

#[test]
fn services_are_read_in_either_spelling_and_those_that_no_answer_names_are_passed_over() {
    let priority = |tokens| {
        move |purchase: &mut Purchase<'_>| {
            purchase.usage.uncached = tokens;
            purchase.service_tier = Some("priority");
        }
    };
    let model = "example/two-spellings";
    assert_eq!(price(model, priority(K)), Some(2_000));
    assert_eq!(price(model, priority(201 * K)), Some(201 * 4_000));
    let output = |purchase: &mut Purchase<'_>| {
        priority(201 * K)(purchase);
        purchase.usage.visible = K;
    };
    assert_eq!(price(model, output), Some(201 * 4_000 + 20_000));
    let model = "example/other-services";
    for (tier, cost) in [("flex", 500), ("balanced", 1_000), ("decisions", 1_000)] {
        let of = |purchase: &mut Purchase<'_>| {
            purchase.usage.uncached = K;
            purchase.service_tier = Some(tier);
        };
        assert_eq!(price(model, of), Some(cost), "{tier}");
    }
}

#[test]
fn hits_sound_and_searches_have_the_prices_that_are_listed() {
    let cached = |purchase: &mut Purchase<'_>| purchase.usage.cached = K;
    assert_eq!(price("example/hit-of-old", cached), Some(100));
    assert_eq!(price("example/hit-of-both", cached), Some(200));
    let heard = |purchase: &mut Purchase<'_>| purchase.usage.audio_input = K;
    let said = |purchase: &mut Purchase<'_>| purchase.usage.audio_output = K;
    assert_eq!(price("example/sound", heard), Some(10_000));
    assert_eq!(price("example/sound", said), Some(20_000));
    let searched = |purchase: &mut Purchase<'_>| purchase.usage.web_searches = 3;
    assert_eq!(price("example/searches", searched), Some(60_000));
    let model = "example/searches-without-a-medium";
    assert_eq!(price(model, searched), Some(150_000));
    // where no fee is listed there is none
    assert_eq!(price("example/plain", searched), Some(0));
}

#[test]
fn tiers_nights_and_factors_change_the_price_of_the_whole_call() {
    assert_eq!(price("example/tiers", input(32 * K)), Some(32_000));
    assert_eq!(price("example/tiers", input(32 * K + 1)), Some(64_002));
    // 2026-11-25
    let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_564_800);
    for model in ["example/night", "example/night-in-the-block"] {
        for (hour, cost) in [
            (5, 1_000),
            (6, 2_000),
            (21, 2_000),
            (22, 1_000),
            (24, 1_000),
        ] {
            let at = |purchase: &mut Purchase<'_>| {
                purchase.usage.uncached = K;
                purchase.at = Some(midnight + Duration::from_secs(hour * 3_600));
            };
            assert_eq!(price(model, at), Some(cost), "{model} at {hour}");
        }
    }
    let fast = |purchase: &mut Purchase<'_>| {
        purchase.usage.uncached = K;
        (purchase.geo, purchase.speed) = (Some("us"), Some("fast"));
    };
    assert_eq!(price("example/factors", fast), Some(2_200));
    let european = |purchase: &mut Purchase<'_>| {
        purchase.usage.uncached = K;
        purchase.host = Some("eu.api.openai.com");
    };
    assert_eq!(price("example/factors", european), Some(1_100));
}

/// The list itself, such as that in the wheel of the Python package `litellm`: `LITELLM_PRICES=…/model_prices_and_context_window_backup.json
/// cargo test -p cost-layer --test prices -- --ignored`.
#[test]
#[ignore = "needs the file that LITELLM_PRICES names"]
fn the_list_as_it_is_now_is_read_whole() {
    let path = std::env::var("LITELLM_PRICES").expect("LITELLM_PRICES names a file");
    let text = std::fs::read_to_string(path).unwrap();
    let prices = Prices::read(&text).unwrap();
    println!("{} models, {} skipped", prices.len(), prices.skipped());
    assert!(prices.len() > 1_000);
    assert_eq!(prices.skipped(), 0);
    // every model that has a price of its prompt has the price that stands there
    let entries: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut checked = 0;
    for (name, entry) in entries.iter().filter(|(name, _)| *name != "sample_spec") {
        let Some(rate) = entry
            .get("input_cost_per_token")
            .and_then(|rate| rate.as_f64())
        else {
            continue;
        };
        if entry.get("tiered_pricing").is_some() || entry.get("off_peak_pricing").is_some() {
            continue;
        }
        let found = prices.price(&Purchase::estimate(name, 1_000, 0));
        let dollars = found.unwrap_or_else(|| panic!("{name}")).picos() as f64 / 1e12;
        assert!(
            (dollars - rate * 1_000.0).abs() < 1e-12,
            "{name}: {dollars}"
        );
        checked += 1;
    }
    println!("{checked} prices checked");
    assert!(checked > 1_000);
}
