//! Payloads, calls, peeking and watched bodies, one binary.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod answers;
mod auto_traits;
mod calls;
mod meter_ends;
mod meters;
mod payloads;
mod peeks;
mod reached;
mod reshaped;
#[path = "../common/transcripts.rs"]
mod transcripts;
mod usages;
mod watches;
