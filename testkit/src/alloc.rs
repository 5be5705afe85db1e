//! Counts heap allocations.
//!
//! Needs the feature `count-allocations`: the allocator that counts is then the global one of every
//! binary of that build which links `testkit`, so don't take times with it. A crate that counts puts
//! its counts in a test of their own, which other builds leave out:
//!
//! ```toml
//! [[test]]
//! name = "allocations"
//! required-features = ["testkit/count-allocations"]
//! ```
//!
//! and runs it with `cargo test -p that-crate --features testkit/count-allocations`. A crate's manifest
//! on the registry is not touched by this.
//!
//! ```
//! use std::hint::black_box;
//!
//! let made = testkit::alloc::count(|| black_box(vec![0_u8; 100]));
//! assert_eq!((made.allocations, made.bytes), (1, 100));
//! ```

/// What was allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// How many blocks were asked for; each growth of a block counts as one more.
    pub allocations: u64,
    /// The bytes asked for, all blocks together, freed or not; a grown block counts with its new
    /// size in full.
    pub bytes: u64,
}

/// Counts what the current thread allocates while `f` runs; what `f` returns is dropped uncounted.
pub fn count<T>(f: impl FnOnce() -> T) -> Allocations {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(f()));
    drop(result);
    Allocations {
        allocations: info.count_total,
        bytes: info.bytes_total,
    }
}
