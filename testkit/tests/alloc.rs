//! Needs the feature `count-allocations`.

use std::hint::black_box;

use testkit::alloc::{Allocations, count};

#[test]
fn code_that_allocates_nothing_counts_nothing() {
    assert_eq!(count(|| black_box(2 + 2)), Allocations::default());
}

#[test]
fn blocks_and_bytes_are_counted_whether_freed_or_not() {
    let made = count(|| {
        drop(black_box(Box::new(1_u64)));
        black_box(vec![0_u8; 24])
    });
    assert_eq!(
        made,
        Allocations {
            allocations: 2,
            bytes: 32
        }
    );
}

#[test]
fn a_growing_block_counts_again() {
    let made = count(|| {
        let mut bytes = Vec::<u8>::with_capacity(black_box(8));
        bytes.extend_from_slice(&[1; 8]);
        bytes.reserve_exact(8);
        black_box(bytes)
    });
    assert_eq!(
        made,
        Allocations {
            allocations: 2,
            bytes: 24
        }
    );
}

#[test]
fn other_threads_are_not_counted() {
    let (go, wait) = std::sync::mpsc::sync_channel::<()>(0);
    let (done, finished) = std::sync::mpsc::sync_channel::<()>(0);
    let thread = std::thread::spawn(move || {
        wait.recv().unwrap();
        black_box(vec![0_u8; 1 << 20]);
        done.send(()).unwrap();
    });
    let made = count(|| {
        go.send(()).unwrap();
        finished.recv().unwrap();
    });
    thread.join().unwrap();
    assert!(made.bytes < 1 << 20, "{made:?}");
}
