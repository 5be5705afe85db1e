//! The lock of the memory store. A test puts loom's in its place.

pub(crate) use std::sync::{Mutex, MutexGuard};
