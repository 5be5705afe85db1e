//! Whether the store is asked, or known to be away.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

/// So many failures one after the other, and the store is away.
const FAILURES: u32 = 3;

/// Closed while the store answers; open, it lets one call through at a time, and not too often.
#[derive(Debug)]
pub(super) struct Circuit {
    pause: Duration,
    /// In a row. A store that answers costs a call one look at this.
    failures: AtomicU32,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    /// Not before then is the store tried again; `None`: never.
    next: Option<Instant>,
    trying: bool,
}

/// What a change means for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Opened,
    Closed,
}

/// A call may ask the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Usual,
    /// It is the one that tries whether the store is back.
    Trial,
}

impl Circuit {
    pub(super) const fn new(pause: Duration) -> Self {
        Self {
            pause,
            failures: AtomicU32::new(0),
            open: Mutex::new(None),
        }
    }

    pub(super) const fn pause(&self) -> Duration {
        self.pause
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_open(&self) -> bool {
        self.failures.load(Relaxed) >= FAILURES && self.open().is_some()
    }

    /// `None`: the store is not to be asked now.
    pub(super) fn enter(&self, now: Instant) -> Option<Leave> {
        if self.failures.load(Relaxed) < FAILURES {
            return Some(Leave::Usual);
        }
        match &mut *self.open() {
            None => Some(Leave::Usual),
            Some(open) if open.trying || open.next.is_none_or(|next| now < next) => None,
            Some(open) => {
                open.trying = true;
                Some(Leave::Trial)
            }
        }
    }

    /// The store answered.
    pub(super) fn answered(&self, leave: Leave) -> Change {
        if self.failures.load(Relaxed) == 0 {
            return Change::None;
        }
        let mut open = self.open();
        // an answer to a call of before is late: it does not say that the store is back
        if open.is_some() && leave == Leave::Usual {
            return Change::None;
        }
        self.failures.store(0, Relaxed);
        match open.take() {
            Some(_) => Change::Closed,
            None => Change::None,
        }
    }

    /// It did not.
    pub(super) fn failed(&self, leave: Leave, now: Instant) -> Change {
        let mut open = self.open();
        let next = now.checked_add(self.pause);
        match &mut *open {
            Some(open) if leave == Leave::Trial => {
                *open = Open {
                    next,
                    trying: false,
                };
                Change::None
            }
            // a call of before
            Some(_) => Change::None,
            None => {
                let failures = self.failures.load(Relaxed).saturating_add(1);
                self.failures.store(failures, Relaxed);
                if failures < FAILURES {
                    return Change::None;
                }
                *open = Some(Open {
                    next,
                    trying: false,
                });
                Change::Opened
            }
        }
    }

    /// Nobody waited for the answer.
    pub(super) fn gave_up(&self, leave: Leave) {
        if leave == Leave::Trial
            && let Some(open) = &mut *self.open()
        {
            open.trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn three_failures_in_a_row_open_it_and_one_call_at_a_time_tries() {
        let (circuit, now) = (Circuit::new(PAUSE), Instant::now());
        let fail = |leave, at| circuit.failed(leave, at);
        assert_eq!(fail(Leave::Usual, now), Change::None);
        assert_eq!(fail(Leave::Usual, now), Change::None);
        assert_eq!(circuit.answered(Leave::Usual), Change::None);
        for _ in 0..2 {
            assert_eq!(fail(Leave::Usual, now), Change::None);
            assert_eq!(circuit.enter(now), Some(Leave::Usual));
        }
        assert_eq!(fail(Leave::Usual, now), Change::Opened);
        assert!(circuit.is_open());
        assert_eq!(circuit.enter(now), None);
        let later = now + PAUSE;
        assert_eq!(circuit.enter(later), Some(Leave::Trial));
        assert_eq!(circuit.enter(later), None, "one at a time");
        circuit.gave_up(Leave::Trial);
        assert_eq!(circuit.enter(later), Some(Leave::Trial));
        assert_eq!(fail(Leave::Trial, later), Change::None);
        assert_eq!(circuit.enter(later), None);
        assert_eq!(circuit.enter(later + PAUSE), Some(Leave::Trial));
        assert_eq!(circuit.answered(Leave::Trial), Change::Closed);
        assert!(!circuit.is_open());
        assert_eq!(circuit.enter(later), Some(Leave::Usual));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_without_end_it_is_never_tried_again() {
        let (circuit, now) = (Circuit::new(Duration::MAX), Instant::now());
        for _ in 0..FAILURES {
            circuit.failed(Leave::Usual, now);
        }
        assert!(circuit.is_open());
        assert_eq!(circuit.enter(now + 1_000_000 * PAUSE), None);
    }

    #[tokio::test(start_paused = true)]
    async fn late_answers_to_calls_of_before_neither_close_it_nor_keep_it_open() {
        let (circuit, now) = (Circuit::new(PAUSE), Instant::now());
        for _ in 0..FAILURES {
            circuit.failed(Leave::Usual, now);
        }
        assert_eq!(circuit.answered(Leave::Usual), Change::None);
        assert!(circuit.is_open());
        let later = now + PAUSE;
        assert_eq!(circuit.failed(Leave::Usual, later), Change::None);
        circuit.gave_up(Leave::Usual);
        assert_eq!(circuit.enter(later), Some(Leave::Trial));
    }
}
