//! Lists of the form of `prices.csv` over any bytes: refused, or read, and then asked for prices.
//!
//! ```text
//! cargo +nightly fuzz run prices_csv fuzz/corpus/prices_csv fuzz/seeds/prices_csv
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
