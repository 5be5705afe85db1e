//! gRPC messages and their fields over any bytes and any cuts.

#![no_main]

use libfuzzer_sys::fuzz_target;

mod cuts;

fuzz_target!(|input: &[u8]| {
    if let Some((stream, cuts)) = cuts::split(input) {
        llm_exchange::fuzzing::grpc(stream, &cuts);
    }
});
