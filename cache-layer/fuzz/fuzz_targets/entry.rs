//! An entry as a store holds it, also packed as on a Redis server.
//!
//! ```text
//! cargo +nightly fuzz run entry fuzz/corpus/entry fuzz/seeds/entry
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    cache_layer::fuzzing::entry(input);
    cache_layer::fuzzing::packed(input);
});
