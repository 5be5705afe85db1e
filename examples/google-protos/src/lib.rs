//! Google's two LLM services over gRPC, and KServe's inference service: a few fields of each, with tonic
//! clients and servers.
//!
//! Google's have the same calls and nearly the same messages, but other field numbers. Only what an LLM call needs is
//! in `proto/`; fields that are left out are skipped when read. The code in `src/generated` is made by
//! `cargo run` in the folder `regenerate`, which is no member of the workspace, so that no build needs a
//! protobuf compiler.

#![forbid(unsafe_code)]

/// `google.ai.generativelanguage.v1beta`: the Gemini API.
pub mod generativelanguage {
    #![allow(
        clippy::all,
        missing_docs,
        rust_2018_idioms,
        unreachable_pub,
        reason = "generated"
    )]
    include!("generated/google.ai.generativelanguage.v1beta.rs");
}

/// `google.cloud.aiplatform.v1`: Vertex AI.
pub mod aiplatform {
    #![allow(
        clippy::all,
        missing_docs,
        rust_2018_idioms,
        unreachable_pub,
        reason = "generated"
    )]
    include!("generated/google.cloud.aiplatform.v1.rs");
}

/// `inference`: KServe's open inference protocol, with Triton's stream.
pub mod inference {
    #![allow(
        clippy::all,
        missing_docs,
        rust_2018_idioms,
        unreachable_pub,
        reason = "generated"
    )]
    include!("generated/inference.rs");
}
