#![allow(missing_docs, dead_code)]
mod control;
mod freshness;
mod key;
mod rules;
pub use key::{Key,Tag,Tags};
pub use rules::{Mode,NotKept};
