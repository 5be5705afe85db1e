//! Any bytes as a request whose question is looked up by its meaning.
//!
//! ```text
//! cargo +nightly fuzz run question fuzz/corpus/question fuzz/seeds/question
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    cache_layer::fuzzing::question(input);
});
