//! Whose turn it is to poll the upstream call.

#[cfg(loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::SeqCst, fence},
};
use std::sync::TryLockError;
#[cfg(not(loom))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::SeqCst, fence},
};

/// Something that one at a time may poll, and none waits for.
///
/// Who comes while another polls goes away again, to be woken: by what the other finds, or, if that is
/// nothing, by the other itself, which may never poll again.
pub(super) struct Turn<T> {
    of: Mutex<T>,
    /// Somebody came while another polled.
    missed: AtomicBool,
}

/// What came of wanting a turn.
#[derive(Debug, PartialEq)]
pub(super) enum Took<N> {
    Ready(N),
    /// There is nothing yet. `missed`: the others are to be woken, to poll for themselves.
    Pending {
        missed: bool,
    },
    /// Another has the turn. It wakes who waits.
    Busy,
}

impl<T> Turn<T> {
    pub(super) fn new(of: T) -> Self {
        Self {
            of: Mutex::new(of),
            missed: AtomicBool::new(false),
        }
    }

    /// To be called by who waits already, as it is woken from then on. `poll` is to tell all who can
    /// see what it found before it returns.
    pub(super) fn take<N>(&self, poll: impl FnOnce(&mut T) -> Option<N>) -> Took<N> {
        let mut of = match self.of.try_lock() {
            Err(TryLockError::WouldBlock) => {
                self.missed.store(true, SeqCst);
                fence(SeqCst);
                // either it is free by now, or who has it sees the mark after it
                match self.of.try_lock() {
                    Err(TryLockError::WouldBlock) => return Took::Busy,
                    Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                    Ok(of) => of,
                }
            }
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Ok(of) => of,
        };
        let found = poll(&mut of);
        drop(of);
        fence(SeqCst);
        let missed = self.missed.swap(false, SeqCst);
        match found {
            Some(next) => Took::Ready(next),
            None => Took::Pending { missed },
        }
    }
}

#[cfg(all(test, loom))]
mod tests {
    use loom::{
        sync::{Arc, atomic::AtomicUsize},
        thread,
    };

    use super::*;

    /// Two readers of something that is ready only the second time: whoever is woken polls on, and
    /// who is not woken although nobody else will poll is stuck.
    #[test]
    fn nobody_is_left_waiting_while_the_other_goes_away() {
        loom::model(|| {
            let polls = Arc::new(AtomicUsize::new(0));
            let turn = Arc::new(Turn::new(()));
            let once = {
                let (polls, turn) = (Arc::clone(&polls), Arc::clone(&turn));
                move || turn.take(|()| (polls.fetch_add(1, SeqCst) == 1).then_some(()))
            };
            // the other polls once and never again
            let other = thread::spawn(once.clone());
            let mine = once();
            let others = other.join().unwrap();
            match (mine, others) {
                // each polled, so something came
                (Took::Ready(()), _) | (_, Took::Ready(())) => {}
                // one was turned away: the other must have said so
                (Took::Busy, Took::Pending { missed }) | (Took::Pending { missed }, Took::Busy) => {
                    assert!(missed);
                }
                both => panic!("{both:?}"),
            }
        });
    }
}
