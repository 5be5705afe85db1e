//! What calls on several threads write at the same time without getting into each other's way.

use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// So many threads never meet at one stripe.
pub(crate) const STRIPES: usize = 16;

/// The same thing several times: each thread has one of them, which only every sixteenth other thread
/// has too. Whoever needs all of it goes through all stripes.
#[derive(Default)]
pub(crate) struct Stripes<T>([Stripe<T>; STRIPES]);

/// A line of the processor's cache, and the next, which it fetches along, to itself.
#[repr(align(128))]
#[derive(Default)]
struct Stripe<T>(Mutex<T>);

impl<T> Stripes<T> {
    /// This thread's.
    pub(crate) fn mine(&self) -> MutexGuard<'_, T> {
        lock(&self.0[mine()].0)
    }

    /// One after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(|stripe| lock(&stripe.0))
    }
}

/// The stripe of this thread; threads take turns.
fn mine() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    let mine = MINE.try_with(|mine| match mine.get() {
        Some(stripe) => stripe,
        None => {
            let stripe = NEXT.fetch_add(1, Relaxed) % STRIPES;
            mine.set(Some(stripe));
            stripe
        }
    });
    // a thread that ends has none any more
    mine.unwrap_or(0)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
