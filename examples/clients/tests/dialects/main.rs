//! Every dialect and every server that speaks one in its own way, through the layers, over real
//! connections: what the fake provider is told to do arrives as that dialect gives it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod table;
