//! Who waits for one upstream call.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

/// The readers of one flight, each with a seat and, while it waits, its waker.
///
/// It is itself what the upstream call wakes: then every reader that waits is woken, and whoever is
/// polled first goes on with the call. So no reader depends on another one being polled.
#[derive(Default)]
pub(super) struct Wakers(Mutex<Vec<Seat>>);

#[derive(Default)]
struct Seat {
    taken: bool,
    waker: Option<Waker>,
}

impl Wakers {
    /// Takes a seat.
    pub(super) fn join(&self) -> usize {
        let mut seats = self.seats();
        let seat = Seat {
            taken: true,
            waker: None,
        };
        match seats.iter().position(|seat| !seat.taken) {
            Some(free) => {
                seats[free] = seat;
                free
            }
            None => {
                seats.push(seat);
                seats.len() - 1
            }
        }
    }

    /// Gives a seat back. The others are woken: this one may have been woken for all.
    pub(super) fn leave(&self, seat: usize) {
        let left = std::mem::take(&mut self.seats()[seat]);
        // a waker's drop is the caller's code
        drop(left);
        self.wake_all();
    }

    /// How many there are.
    pub(super) fn readers(&self) -> usize {
        self.seats().iter().filter(|seat| seat.taken).count()
    }

    /// This one waits.
    pub(super) fn wait(&self, seat: usize, waker: &Waker) {
        let there = self.seats()[seat].waker.take();
        // the clone of a waker and its drop are the caller's code, which may come here again
        let waker = match there {
            Some(there) if there.will_wake(waker) => there,
            _ => waker.clone(),
        };
        let before = self.seats()[seat].waker.replace(waker);
        drop(before);
    }

    /// This one does not wait any more.
    pub(super) fn no_longer(&self, seat: usize) {
        let waker = self.seats()[seat].waker.take();
        drop(waker);
    }

    pub(super) fn wake_all(&self) {
        self.wake_those(|_| true);
    }

    pub(super) fn wake_others(&self, seat: usize) {
        self.wake_those(|other| other != seat);
    }

    fn wake_those(&self, whom: impl Fn(usize) -> bool) {
        let mut seats = self.seats();
        let chosen = seats.iter_mut().enumerate().filter(|(seat, _)| whom(*seat));
        let mut waiting = chosen.filter_map(|(_, seat)| seat.waker.take());
        let Some(first) = waiting.next() else {
            return;
        };
        let more: Vec<Waker> = waiting.collect();
        // who is woken may come here at once
        drop(seats);
        first.wake();
        more.into_iter().for_each(Waker::wake);
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
