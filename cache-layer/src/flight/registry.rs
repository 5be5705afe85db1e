//! The calls that are under way.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{Key, key::BuildAsItIs};

/// What two calls have in common that share one upstream call: the key, and whether the answer is
/// asked for as a stream.
pub(crate) type FlightKey = (Key, bool);

/// The calls of a layer that are under way, so that equal ones join them.
///
/// It holds none of them: a flight lives as long as somebody reads it. The services of one layer may
/// be of different types; a call joins those of its own.
pub(crate) struct Flights {
    flights: Mutex<HashMap<FlightKey, Entry, BuildAsItIs>>,
    next: AtomicU64,
    most: usize,
    /// Bytes that are held to be kept, over all flights.
    held: AtomicUsize,
    most_held: usize,
}

type Locked<'f> = MutexGuard<'f, HashMap<FlightKey, Entry, BuildAsItIs>>;

struct Entry {
    id: u64,
    flight: Weak<dyn Any + Send + Sync>,
    place: Place,
}

/// Where in a flight's answer the answer to one key stands, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: usize,
    pub(crate) of: usize,
}

/// The most calls, and texts to be embedded, that are under way and can be joined.
const MOST: usize = 1 << 16;
/// The most bytes of answers under way that are held to be kept.
const MOST_HELD: usize = 256 << 20;

/// What became of a call that would share.
pub(crate) enum Joined<F> {
    /// An equal call is under way.
    There(Arc<F>),
    /// This call is under way now, for others to join.
    Begun(Arc<F>),
    /// There are too many calls, or the one under way cannot be joined: this one goes alone.
    Alone,
}

/// Of several keys, where the answer to one comes from.
pub(crate) enum Each<F> {
    /// It is under way, at this place of the flight's answer.
    There(Arc<F>, Place),
    /// From the flight that was begun, at the next place of its answer.
    Begun,
    /// It became known meanwhile.
    Known,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            flights: Mutex::default(),
            next: AtomicU64::new(1),
            most: MOST,
            held: AtomicUsize::new(0),
            most_held: MOST_HELD,
        }
    }
}

impl Flights {
    /// Joins the flight of this key that `admits` a further reader, or begins one, which keeps its
    /// registration.
    ///
    /// Whatever of the app's is needed to begin, such as a clone of its service, is made by `prepare`,
    /// before the lock: if it panics, nothing here is the worse for it.
    pub(crate) fn join<F: Any + Send + Sync, P>(
        self: &Arc<Self>,
        key: FlightKey,
        admits: impl FnOnce(&F) -> bool,
        prepare: impl FnOnce() -> P,
        begin: impl FnOnce(P, Registration) -> Arc<F>,
    ) -> Joined<F> {
        let joined = match self.under_way(key, self.lock()) {
            Err(there) => there,
            Ok(flights) => {
                drop(flights);
                let prepared = prepare();
                match self.under_way(key, self.lock()) {
                    // another one was quicker
                    Err(there) => there,
                    Ok(mut flights) => {
                        let place = Place { at: 0, of: 1 };
                        let id = self.next.fetch_add(1, Relaxed);
                        let flight = begin(prepared, self.registration(key, id));
                        flights.insert(key, Entry::new(id, &flight, place));
                        return Joined::Begun(flight);
                    }
                }
            }
        };
        match joined.map(|there| there.downcast::<F>()) {
            Some(Ok(flight)) if admits(&flight) => Joined::There(flight),
            _ => Joined::Alone,
        }
    }

    /// The lock, if a flight of this key may begin; else the one that is under way, if there is one.
    fn under_way<'f>(
        &self,
        key: FlightKey,
        flights: Locked<'f>,
    ) -> Result<Locked<'f>, Option<Arc<dyn Any + Send + Sync>>> {
        if let Some(there) = flights.get(&key).and_then(|entry| entry.flight.upgrade()) {
            // the last one to hold it must not drop it with the lock held
            drop(flights);
            return Err(Some(there));
        }
        if flights.len() >= self.most {
            return Err(None);
        }
        Ok(flights)
    }

    /// Of several keys, joins the flights that there are, and begins one for all the others, but for
    /// those that `is_known` by now: with their numbers, in the order of their places. A flight that
    /// does not admit a further reader is passed by. `is_known` and `begin` run with the lock held.
    pub(crate) fn join_each<F: Any + Send + Sync>(
        self: &Arc<Self>,
        keys: &[FlightKey],
        admits: impl Fn(&F) -> bool,
        mut is_known: impl FnMut(usize) -> bool,
        begin: impl FnOnce(&[usize], Vec<Registration>) -> Arc<F>,
    ) -> (Vec<Each<F>>, Option<Arc<F>>) {
        // none of these may be dropped with the lock held, as one may be the last to hold it
        let mut unfit = Vec::new();
        let (mut each, mut rest, mut free) = (Vec::with_capacity(keys.len()), vec![], vec![]);
        let mut flights = self.lock();
        for (number, key) in keys.iter().enumerate() {
            let there = flights
                .get(key)
                .and_then(|entry| Some((entry.flight.upgrade()?, entry.place)));
            let is_free = there.is_none();
            let joined = there.and_then(|(flight, place)| match flight.downcast::<F>() {
                Ok(flight) if admits(&flight) => Some(Each::There(flight, place)),
                Ok(flight) => {
                    unfit.push(flight as Arc<dyn Any + Send + Sync>);
                    None
                }
                Err(other) => {
                    unfit.push(other);
                    None
                }
            });
            each.push(match joined {
                Some(there) => there,
                None if is_known(number) => Each::Known,
                None => {
                    if is_free {
                        free.push((*key, rest.len()));
                    }
                    rest.push(number);
                    Each::Begun
                }
            });
        }
        if rest.is_empty() {
            return (each, None);
        }
        if flights.len() + free.len() > self.most {
            free.clear();
        }
        let id = self.next.fetch_add(1, Relaxed);
        let registrations = free
            .iter()
            .map(|(key, _)| self.registration(*key, id))
            .collect();
        let flight = begin(&rest, registrations);
        for (key, at) in free {
            let place = Place { at, of: rest.len() };
            flights.insert(key, Entry::new(id, &flight, place));
        }
        (each, Some(flight))
    }

    fn registration(self: &Arc<Self>, key: FlightKey, id: u64) -> Registration {
        Registration {
            flights: Arc::clone(self),
            key,
            id,
        }
    }

    /// Whether a call of this key is under way.
    pub(crate) fn has(&self, key: FlightKey) -> bool {
        self.lock().contains_key(&key)
    }

    /// How many calls are under way.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Asks to hold so many bytes more. False: there is no room, and nothing was taken.
    pub(crate) fn hold(&self, bytes: usize) -> bool {
        let before = self.held.fetch_add(bytes, Relaxed);
        let fits = before.saturating_add(bytes) <= self.most_held;
        if !fits {
            self.held.fetch_sub(bytes, Relaxed);
        }
        fits
    }

    pub(crate) fn let_go(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    #[cfg(test)]
    pub(super) fn with_most_held(bytes: usize) -> Self {
        Self {
            most_held: bytes,
            ..Self::default()
        }
    }

    /// How many bytes are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn lock(&self) -> Locked<'_> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new<F: Any + Send + Sync>(id: u64, flight: &Arc<F>, place: Place) -> Self {
        let erased: Arc<dyn Any + Send + Sync> = flight.clone();
        Self {
            id,
            flight: Arc::downgrade(&erased),
            place,
        }
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("under_way", &self.len())
            .finish_non_exhaustive()
    }
}

/// A flight's place in the registry, given back when it is dropped.
pub(crate) struct Registration {
    flights: Arc<Flights>,
    key: FlightKey,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        if flights
            .get(&self.key)
            .is_some_and(|entry| entry.id == self.id)
        {
            flights.remove(&self.key);
        }
    }
}
