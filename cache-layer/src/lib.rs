#![allow(missing_docs, dead_code)]
mod control;
mod entry;
mod freshness;
mod key;
mod rules;
mod store;
pub use entry::Entry;
pub use key::{Key, Tag, Tags};
pub use rules::{Mode, NotKept};
pub use store::*;
