//! Payloads, calls, peeking and watched bodies, one binary.

mod answers;
mod auto_traits;
mod calls;
mod payloads;
mod peeks;
#[path = "../common/transcripts.rs"]
mod transcripts;
mod watches;
