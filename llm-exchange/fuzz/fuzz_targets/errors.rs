//! Error bodies: any bytes are judged without panic, and what is kept is bounded.

#![no_main]

use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use llm_exchange::{ProviderError, Verdict};

fuzz_target!(|input: &[u8]| {
    let of_body = ProviderError::from_body(input);
    let mut trailers = HeaderMap::new();
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        if let Ok(value) = HeaderValue::from_bytes(input) {
            trailers.insert(name, value);
        }
    }
    let of_trailers = ProviderError::from_grpc(&trailers);
    for error in [of_body, of_trailers].into_iter().flatten() {
        assert!(error.message().is_none_or(|text| text.len() <= 2048));
        assert!(error.code().is_none_or(|text| text.len() <= 256));
        for status in [200, 400, 402, 429, 500] {
            let status = StatusCode::from_u16(status).expect("a status");
            let _ = Verdict::of(status, Some(&error));
        }
    }
});
