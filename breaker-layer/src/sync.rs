//! The atomics and the lock of `gate.rs`. A test puts loom's in their place.

pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
