//! The layer's tests, one binary.
#![allow(clippy::type_complexity, reason = "tables of cases")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod alike;
mod answers;
mod common;
mod control;
mod drops;
mod embedder;
mod embeddings;
mod flights;
mod forms;
mod never_stored;
mod panics;
mod prompts;
mod prompts_converse;
mod readiness;
mod stale;
mod stores;
mod tenants;
