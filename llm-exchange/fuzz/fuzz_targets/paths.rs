//! The model in a path: any path, any model; the two stand on a line each.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (path, model) = input.split_once('\n').unwrap_or((input, "model"));
    llm_exchange::fuzzing::paths(path, model);
});
