//! When the upstream had something, for a reader who looks only later.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

use tokio::time::Instant;

/// Stands between the upstream and its reader, and notes the first time that the upstream wakes it: a
/// wait is over then, however long the reader takes to come.
pub(crate) struct Woken {
    noting: Arc<Noting>,
    /// Of `noting`, made once.
    waker: Waker,
}

#[derive(Default)]
struct Noting(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    reader: Option<Waker>,
    at: Option<Instant>,
}

impl Woken {
    pub(crate) fn new() -> Self {
        let noting = Arc::new(Noting::default());
        Self {
            waker: Waker::from(Arc::clone(&noting)),
            noting,
        }
    }

    /// What the upstream is polled with, so that it wakes this reader; and when it first did so since this
    /// was asked last. A wake-up from now on belongs to the next poll.
    pub(crate) fn listen(&self, reader: &Waker) -> (&Waker, Option<Instant>) {
        let mut noted = self.noting.lock();
        match &mut noted.reader {
            Some(known) => known.clone_from(reader),
            none => *none = Some(reader.clone()),
        }
        (&self.waker, noted.at.take())
    }
}

impl Noting {
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Noting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let reader = {
            let mut noted = self.lock();
            noted.at.get_or_insert_with(Instant::now);
            noted.reader.clone()
        };
        // not under the lock: it may poll at once
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl fmt::Debug for Woken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Woken").finish_non_exhaustive()
    }
}
