//! The gateway over real sockets, in front of the fake provider.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bad_input;
mod binary;
mod calls;
mod common;
mod passing;
mod stopping;
