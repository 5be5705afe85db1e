//! Counting the tokens of prompts.
#![allow(clippy::unwrap_used)]

mod counts;
#[cfg(feature = "exact-tokens")]
mod measured;
