//! The SSE decoder over any bytes and any cuts, with the checks of its property tests.
//!
//! The first byte of the input is the number of cuts, each of the next bytes the length of a piece;
//! the stream is what follows, and what is left of it after the cuts is the last piece.
//!
//! ```text
//! cargo +nightly fuzz run sse fuzz/corpus/sse fuzz/seeds/sse
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/sse/oracles.rs"]
mod oracles;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/sse/support.rs"]
mod support;

fuzz_target!(|input: &[u8]| {
    let Some((&count, input)) = input.split_first() else {
        return;
    };
    let (cuts, stream) = input.split_at(usize::from(count).min(input.len()));
    let cuts: Vec<_> = cuts.iter().copied().map(usize::from).collect();
    oracles::check(stream, &cuts);
});
