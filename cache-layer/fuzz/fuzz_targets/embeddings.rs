//! Any bytes as an answer of embeddings.
//!
//! ```text
//! cargo +nightly fuzz run embeddings fuzz/corpus/embeddings fuzz/seeds/embeddings
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    cache_layer::fuzzing::embeddings(input);
});
