//! Sizes of prompts, classes of service, places and speeds.

use std::time::SystemTime;

use cost_layer::Prices;
use llm_exchange::{Money, Price, Purchase, Usage};

fn micros(number: u128) -> Option<Money> {
    Some(Money::from_picos(number * 1_000_000))
}

fn price(model: &str, input: u64, output: u64) -> Option<Money> {
    Prices::builtin().price(&Purchase::estimate(model, input, output))
}

#[test]
fn the_whole_call_is_at_the_tier_of_its_prompt_and_the_boundary_is_exact() {
    assert_eq!(price("gpt-6-sol", 300_000, 1_000), micros(1_215_000));
    assert_eq!(
        price("gpt-6-sol", 272_000, 1_000),
        micros(272_000 * 2 + 10_000)
    );
    assert_eq!(
        price("gpt-6-sol", 272_001, 1_000),
        micros(272_001 * 4 + 15_000)
    );
    // xAI counts the threshold itself as above
    assert_eq!(price("grok-4.7", 199_999, 1), micros(199_999 * 2 + 6));
    assert_eq!(price("grok-4.7", 200_000, 0), micros(800_000));
    // five times as dear above 100,000
    assert_eq!(
        price("claude-haiku-5-5", 100_001, 10).unwrap().picos(),
        50_000_500_000 + 25_000_000
    );
    // generated tokens never decide
    assert_eq!(price("gpt-6-sol", 1, 500_000), micros(2 + 5_000_000));
}

#[test]
fn cached_and_written_tokens_count_for_the_size_and_are_at_the_tier_too() {
    let mut usage = Usage::default();
    (usage.uncached, usage.cached, usage.cache_write) = (1, 272_000, 0);
    let of = |usage| Prices::builtin().price(&Purchase::new("gpt-6-sol", usage));
    assert_eq!(of(usage).unwrap().picos(), 4_000_000 + 272_000 * 400_000);
    // a long write has no price of its own at the tier: twice the tier's short one, as below it
    (usage.cached, usage.cache_write_long) = (0, 272_000);
    assert_eq!(of(usage).unwrap().picos(), 4_000_000 + 272_000 * 10_000_000);
}

#[test]
fn the_service_that_the_answer_names_sets_the_price() {
    let mut usage = Usage::default();
    (usage.uncached, usage.cached, usage.visible) = (1_000, 1_000, 100);
    let of = |model, tier| {
        let purchase = Purchase::new(model, usage).service_tier(tier);
        Prices::builtin()
            .price(&purchase)
            .map(|cost| cost.picos() / 1_000_000)
    };
    for (tier, micros) in [
        ("default", 2_000 + 200 + 1_000),
        ("standard", 2_000 + 200 + 1_000),
        ("something new", 2_000 + 200 + 1_000),
        // half; the list has no price of its own for the cache
        ("batch", 1_000 + 100 + 500),
        ("flex", 1_000 + 100 + 500),
        ("priority", 4_000 + 400 + 2_000),
        ("fast", 4_000 + 400 + 2_000),
    ] {
        assert_eq!(of("gpt-6-sol", tier), Some(micros), "{tier}");
    }
    assert_eq!(
        of("gpt-6-astra", "ultrafast"),
        Some(60_000 + 6_000 + 30_000)
    );
    // a service that the list does not price is at the usual price
    assert_eq!(
        of("claude-opus-5-5", "priority"),
        of("claude-opus-5-5", "standard")
    );
}

#[test]
fn size_and_service_together_multiply_where_the_list_gives_them_apart() {
    let purchase = Purchase::estimate("gpt-6-sol", 300_000, 1_000).service_tier("batch");
    assert_eq!(
        Prices::builtin().price(&purchase),
        micros(300_000 * 2 + 7_500)
    );
}

#[test]
fn place_and_speed_multiply_tokens_and_no_fees() {
    let mut usage = Usage::default();
    (usage.uncached, usage.web_searches) = (1_000, 1);
    let mut purchase = Purchase::new("claude-opus-5-5", usage);
    purchase.speed = Some("fast");
    assert_eq!(Prices::builtin().price(&purchase), micros(8_000 + 10_000));
    purchase.geo = Some("us");
    assert_eq!(Prices::builtin().price(&purchase), micros(8_800 + 10_000));
    purchase.geo = Some("global");
    purchase.speed = Some("standard");
    assert_eq!(Prices::builtin().price(&purchase), micros(4_000 + 10_000));

    let purchase = Purchase::estimate("gpt-6-sol", 1_000, 0);
    let at = |host| Prices::builtin().price(&purchase.host(host));
    assert_eq!(at("eu.api.openai.com"), micros(2_200));
    assert_eq!(at("api.openai.com"), micros(2_000));
}

#[test]
fn a_price_that_is_absent_is_the_plainer_tokens_and_zero_is_a_price() {
    let prices = Prices::read(
        r#"{"plain": {"input_cost_per_token": 1e-6, "output_cost_per_token": 3e-6},
            "free-cache": {"input_cost_per_token": 1e-6, "output_cost_per_token": 3e-6,
                           "cache_read_input_token_cost": 0.0},
            "only-input": {"input_cost_per_token": 1e-6}}"#,
    )
    .unwrap();
    let mut usage = Usage::default();
    (usage.cached, usage.cache_write, usage.cache_write_long) = (10, 10, 10);
    (usage.reasoning, usage.audio_input, usage.audio_output) = (10, 10, 10);
    let of = |model, usage| prices.price(&Purchase::new(model, usage));
    assert_eq!(of("plain", usage), micros(40 + 60));
    assert_eq!(of("free-cache", usage), micros(30 + 60));
    // what it generates costs nobody knows what
    assert_eq!(of("only-input", usage), None);
    (usage.reasoning, usage.audio_output) = (0, 0);
    assert_eq!(of("only-input", usage), micros(40));
}

#[test]
fn an_item_beyond_all_reason_saturates_and_says_so() {
    let prices = Prices::read(r#"{"m": {"input_cost_per_token": 1e-6}}"#).unwrap();
    let charge = |input| {
        let purchase = Purchase::estimate("m", input, 0);
        prices.charge(&purchase, SystemTime::UNIX_EPOCH).unwrap()
    };
    assert!(!charge(1 << 40).saturated);
    // 18 trillion dollars are still exact
    assert!(!charge(u64::MAX).saturated);
    assert_eq!(
        charge(u64::MAX).total().picos(),
        u128::from(u64::MAX) * 1_000_000
    );
}
