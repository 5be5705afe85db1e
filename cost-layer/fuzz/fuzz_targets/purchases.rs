//! Price lists of any form: refused, or read, and then asked for prices.

use std::time::{Duration, SystemTime};

use cost_layer::Prices;
use llm_exchange::{Purchase, Usage};

/// Reads a list.
pub fn check(input: &str) {
    if let Ok(prices) = Prices::read(input) {
        // the same each time
        let again = Prices::read(input).map(|again| again.len());
        assert_eq!(again, Ok(prices.len()));
        buy(&prices);
    }
}

/// Asks a list for the price of calls of every kind, by names that may stand in it.
fn buy(prices: &Prices) {
    for model in ["a", "b", "p/a", "a-2026-09-22", "us.a-v1:0"] {
        for tokens in [0, 1, 200_000, 200_001, u64::MAX / 16] {
            for tier in [None, Some("batch"), Some("flex"), Some("priority")] {
                let mut usage = Usage::default();
                (usage.uncached, usage.cached) = (tokens, tokens);
                (usage.cache_write, usage.cache_write_long) = (tokens, tokens);
                (usage.audio_input, usage.audio_output) = (tokens, tokens);
                (usage.visible, usage.reasoning) = (tokens, tokens);
                usage.web_searches = tokens;
                let mut purchase = Purchase::new(model, usage);
                purchase.service_tier = tier;
                (purchase.geo, purchase.speed) = (Some("us"), Some("fast"));
                purchase.host = Some("eu.api.openai.com");
                let time = Duration::from_secs(tokens % 900_000);
                let charge = prices.charge(&purchase, SystemTime::UNIX_EPOCH + time);
                // no sum of the items overflows
                let _ = charge.map(|charge| charge.total());
            }
        }
    }
    let _ = (prices.len(), prices.skipped(), prices.date());
}
