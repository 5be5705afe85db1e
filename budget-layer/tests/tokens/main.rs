//! Counting the tokens of prompts.

mod counts;
#[cfg(feature = "exact-tokens")]
mod measured;
