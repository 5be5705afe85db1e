//! Lists of the form of `prices.csv` over any bytes.
//!
//! ```text
//! cargo +nightly fuzz run prices_csv fuzz/corpus/prices_csv fuzz/seeds/prices_csv
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

mod purchases;

fuzz_target!(|input: &str| purchases::check(input));
