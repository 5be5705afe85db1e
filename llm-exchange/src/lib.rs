//! The words that the layers share.

pub mod sse;
