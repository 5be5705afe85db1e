//! The atomics and the lock of `gate.rs`, `known.rs` and `places.rs`. A test puts loom's in their place.

pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
