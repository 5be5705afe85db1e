//! The gateway over real sockets, in front of the fake provider.

mod bad_input;
mod binary;
mod calls;
mod common;
mod passing;
mod stopping;
