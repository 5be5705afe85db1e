//! Whose turn it is to poll, in every order that two threads can take.
//!
//! The crate's own file, compiled with loom's lock and atomic in place of the standard library's.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

#[path = "../src/flight/turn.rs"]
mod turn;

mod sync {
    pub(crate) use loom::sync::{
        Mutex,
        atomic::{AtomicBool, Ordering, fence},
    };
    pub(crate) use std::sync::TryLockError;
}

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use loom::{sync::Arc, thread};
use turn::{Took, Turn};

/// Two readers of something that is not ready at its first poll and is at its second. Each comes once
/// and then waits to be woken.
#[test]
fn who_is_turned_away_is_told_of_by_who_had_the_turn() {
    loom::model(|| {
        let polls = Arc::new(AtomicUsize::new(0));
        let turn = Arc::new(Turn::new(()));
        let come = {
            let (polls, turn) = (Arc::clone(&polls), Arc::clone(&turn));
            move || turn.take(|()| (polls.fetch_add(1, SeqCst) == 1).then_some(()))
        };
        let other = thread::spawn(come.clone());
        let one = come();
        match (one, other.join().unwrap()) {
            // both polled, so what came was seen
            (Took::Ready(()), _) | (_, Took::Ready(())) => {}
            // one was turned away: else it would wait for a wake-up that went to the other before it came
            (Took::Busy, Took::Pending { missed }) | (Took::Pending { missed }, Took::Busy) => {
                assert!(missed);
            }
            both => panic!("{both:?}"),
        }
    });
}
