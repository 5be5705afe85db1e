//! Every dialect: what requests ask for, what answers say, what is written in its form.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../common/transcripts.rs"]
mod transcripts;

mod answers;
mod collected;
mod ends;
mod errors;
mod grpc;
mod providers;
mod requests;
mod rewrites;
mod servers;
mod support;
mod usage_rules;
mod usages;
