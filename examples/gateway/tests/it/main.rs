//! The gateway over real sockets, in front of the fake provider.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod admin;
mod auth;
mod bad_input;
mod bedrock;
mod breaker;
mod budget;
mod cache;
mod calls;
mod common;
mod connections;
mod costs;
mod dialects;
mod kserve;
mod onward;
mod passing;
mod program;
mod routes;
mod sse;
mod translated;
