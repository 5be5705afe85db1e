//! The lock and the atomic of `flight/turn.rs`. A test puts loom's in their place.

pub(crate) use std::sync::{
    Mutex, TryLockError,
    atomic::{AtomicBool, Ordering, fence},
};
