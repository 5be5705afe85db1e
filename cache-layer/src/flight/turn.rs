//! Whose turn it is to poll the upstream call.

use crate::sync::{AtomicBool, Mutex, Ordering::SeqCst, TryLockError, fence};

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
