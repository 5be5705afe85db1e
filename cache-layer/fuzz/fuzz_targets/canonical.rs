//! Any bytes as a request, in every dialect whose requests are JSON.
//!
//! ```text
//! cargo +nightly fuzz run canonical fuzz/corpus/canonical fuzz/seeds/canonical
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    cache_layer::fuzzing::request(input);
});
