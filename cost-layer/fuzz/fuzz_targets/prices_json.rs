//! LiteLLM's list over any bytes: refused, or read, and then asked for prices.
//!
//! ```text
//! cargo +nightly fuzz run prices_json fuzz/corpus/prices_json fuzz/seeds/prices_json
//! ```

#![no_main]

use cost_layer::Prices;
use libfuzzer_sys::fuzz_target;

mod purchases;

fuzz_target!(|input: &str| {
    if let Ok(prices) = Prices::read(input) {
        // the same each time
        assert_eq!(
            Prices::read(input).map(|again| again.len()),
            Ok(prices.len())
        );
        purchases::buy(&prices);
    }
});
