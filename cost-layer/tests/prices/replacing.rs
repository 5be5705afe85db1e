//! Prices replaced while calls run.

use std::{fs, time::SystemTime};

use cost_layer::{NotReplaced, PerMillion, Prices, Pricing};
use llm_exchange::{Money, Price, Purchase, WallClock};

fn list(models: &[(&str, &str)]) -> Prices {
    let rows: String = models
        .iter()
        .map(|(name, input)| format!("{name},{input}\n"))
        .collect();
    Prices::read(&format!("# 2026-11-01\nmodel_key,input\n{rows}")).unwrap()
}

fn cost(pricing: &Pricing, model: &str) -> Option<String> {
    let price = pricing.price(&Purchase::estimate(model, 1_000_000, 0));
    price.map(|price| price.to_string())
}

#[test]
fn all_that_share_a_pricing_charge_by_the_new_prices_from_then_on() {
    let pricing = Pricing::new(list(&[("a", "1"), ("b", "2")]));
    let shared: Box<dyn Price> = Box::new(pricing.clone());
    pricing.replace(list(&[("a", "1.5"), ("b", "2")])).unwrap();
    assert_eq!(cost(&pricing, "a").as_deref(), Some("$1.50"));
    let price = shared.price(&Purchase::estimate("a", 1_000_000, 0));
    assert_eq!(price, Some("1.5".parse().unwrap()));
}

#[test]
fn prices_that_lose_most_models_are_refused_and_the_old_ones_stay() {
    let pricing = Pricing::new(list(&[("a", "1"), ("b", "2"), ("c", "3")]));
    let refused = pricing.replace(list(&[("c", "9")])).unwrap_err();
    assert!(matches!(
        refused,
        NotReplaced::LosesMost { kept: 1, of: 3, .. }
    ));
    assert_eq!(
        refused.to_string(),
        "the new prices have only 1 of the 3 models in use"
    );
    assert_eq!(cost(&pricing, "c").as_deref(), Some("$3.00"));
    pricing
        .replace(list(&[("b", "2"), ("c", "9"), ("d", "4")]))
        .unwrap();
    assert_eq!(cost(&pricing, "a"), None);
    pricing.replace_all(list(&[("z", "1")]));
    assert_eq!(cost(&pricing, "b"), None);
}

#[test]
fn what_the_app_knows_better_outlives_the_table() {
    let own = PerMillion::new(Money::usd(5), Money::ZERO);
    let prices = list(&[("a", "1")])
        .model("mine", own)
        .alias("also-a", "a")
        .fallback(own);
    let pricing = Pricing::new(prices);
    pricing.replace(list(&[("a", "2")])).unwrap();
    assert_eq!(cost(&pricing, "mine").as_deref(), Some("$5.00"));
    assert_eq!(cost(&pricing, "also-a").as_deref(), Some("$2.00"));
    assert_eq!(cost(&pricing, "unknown").as_deref(), Some("$5.00"));
}

#[test]
fn a_file_is_reloaded_and_a_broken_one_refused() {
    let path = std::env::temp_dir().join(format!("cost-layer-prices-{}.json", std::process::id()));
    let pricing = Pricing::new(list(&[("a", "1")]));
    fs::write(&path, r#"{"a": {"input_cost_per_token": 4e-06}}"#).unwrap();
    pricing.reload(&path).unwrap();
    assert_eq!(cost(&pricing, "a").as_deref(), Some("$4.00"));
    // the list has no date, its file has
    assert!(pricing.age().unwrap().as_secs() < 3_600);

    fs::write(&path, r#"{"a": {"input_cost_per"#).unwrap();
    assert!(matches!(
        pricing.reload(&path),
        Err(NotReplaced::Invalid(_))
    ));
    fs::remove_file(&path).unwrap();
    assert!(matches!(pricing.reload(&path), Err(NotReplaced::File(_))));
    assert_eq!(cost(&pricing, "a").as_deref(), Some("$4.00"));
}

#[test]
fn the_age_goes_by_the_clock_that_the_pricing_is_given() {
    let day = |day: &str| day.parse::<cost_layer::Day>().unwrap().start();
    let clock = WallClock::fixed(day("2026-11-11"));
    let pricing = Pricing::new(list(&[("a", "1")])).clock(clock);
    assert_eq!(pricing.age().unwrap().as_secs(), 10 * 24 * 3600);
    assert_eq!(
        Prices::builtin()
            .age(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs(),
        0
    );
}
