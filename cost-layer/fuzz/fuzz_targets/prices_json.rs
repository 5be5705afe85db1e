//! LiteLLM's list over any bytes.
//!
//! ```text
//! cargo +nightly fuzz run prices_json fuzz/corpus/prices_json fuzz/seeds/prices_json
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

mod purchases;

fuzz_target!(|input: &str| purchases::check(input));
