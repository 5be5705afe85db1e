//! Rows of a ledger's table that any tool may have written: no record, or one that is written as it is
//! read.
//!
//! ```text
//! cargo +nightly fuzz run rows fuzz/corpus/rows fuzz/seeds/rows
//! ```

#![no_main]

use cost_layer::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fuzzing::row_of(input));
