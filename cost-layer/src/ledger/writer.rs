//! Between the calls and the ledger: a bounded queue, which one task empties.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{Ledger, LedgerError};
use crate::Record;

/// What happens when the ledger takes records more slowly than calls make them, and the queue is full.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The record is lost, counted and alerted. No call ever waits.
    #[default]
    Drop,
    /// A place in the queue is taken before a call is sent, and waited for up to so long; then the call is
    /// sent without one, and its record kept if there is room at its end.
    Wait(Duration),
}

/// One transaction of the ledger.
pub(crate) const BATCH: usize = 100;
/// A ledger that takes longer is taken to be away.
const APPENDING: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(crate) struct WriterLimits {
    pub(crate) capacity: usize,
    pub(crate) overflow: Overflow,
}

impl Default for WriterLimits {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            overflow: Overflow::default(),
        }
    }
}

/// A place in the queue, or none.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<OwnedSemaphorePermit>);

pub(crate) struct Writer {
    ledger: Arc<dyn Ledger>,
    queue: Mutex<Queue>,
    places: Arc<Semaphore>,
    overflow: Overflow,
    lost: AtomicU64,
    /// A batch is whole.
    full: Notify,
    /// One at a time empties the queue.
    emptying: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Queue {
    /// A record stays here until the ledger has it.
    records: VecDeque<(Arc<Record>, OwnedSemaphorePermit)>,
    /// A task is there that empties it, and carries on what lies at the desk.
    is_served: bool,
}

impl Writer {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, limits: WriterLimits) -> Self {
        let capacity = limits.capacity.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            ledger,
            queue: Mutex::default(),
            places: Arc::new(Semaphore::new(capacity)),
            overflow: limits.overflow,
            lost: AtomicU64::new(0),
            full: Notify::new(),
            emptying: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// A place for a call that is about to be sent. `Err`: it has to be waited for.
    pub(crate) fn place(&self) -> Result<Place, Pin<Box<dyn Future<Output = Place> + Send>>> {
        let Overflow::Wait(at_most) = self.overflow else {
            return Ok(Place(None));
        };
        let places = Arc::clone(&self.places);
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => Ok(Place(Some(place))),
            Err(_) => Err(Box::pin(async move {
                let place = timeout(at_most, places.acquire_owned()).await;
                Place(place.ok().and_then(Result::ok))
            })),
        }
    }

    /// Hands records on. It never waits; what there is no place for is lost, and counted.
    pub(crate) fn push(&self, records: impl Iterator<Item = (Arc<Record>, Place)>) {
        let mut lost = 0;
        let mut queue = self.queue();
        let before = queue.records.len();
        for (record, place) in records {
            let place = place
                .0
                .map_or_else(|| Arc::clone(&self.places).try_acquire_owned().ok(), Some);
            match place {
                Some(place) => queue.records.push_back((record, place)),
                None => lost += 1,
            }
        }
        let is_whole = before < BATCH && queue.records.len() >= BATCH;
        drop(queue);
        if is_whole {
            self.full.notify_one();
        }
        self.lose(lost);
    }

    /// Until there is a whole batch.
    pub(crate) async fn batch_is_whole(&self) {
        self.full.notified().await;
    }

    /// Whether a task is to be begun that empties the queue: there is none.
    pub(crate) fn begin_serving(&self) -> bool {
        !mem::replace(&mut self.queue().is_served, true)
    }

    /// The task is gone.
    pub(crate) fn end_serving(&self) {
        self.queue().is_served = false;
    }

    /// The task is gone if the queue is empty and this holds meanwhile.
    pub(crate) fn end_serving_if(&self, holds: impl FnOnce() -> bool) -> bool {
        let mut queue = self.queue();
        let ends = queue.records.is_empty() && holds();
        queue.is_served = !ends;
        ends
    }

    /// Loses all that waits.
    pub(crate) fn give_up(&self) {
        let left = self.queue().records.drain(..).count();
        self.lose(left as u64);
    }

    /// Writes all that is in the queue now.
    pub(crate) async fn flush(&self) -> Result<(), LedgerError> {
        let mut left = self.waiting();
        while left > 0 {
            let written = self.write_batch().await?;
            // another one may have written them
            left = left.saturating_sub(written.max(1)).min(self.waiting());
        }
        Ok(())
    }

    /// How many records wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue().records.len()
    }

    /// How many were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, records: u64) {
        if records > 0 {
            self.lost.fetch_add(records, Relaxed);
            tracing::error!(records, "records are lost");
        }
    }

    /// Writes up to a batch, and returns how many left the queue.
    pub(crate) async fn write_batch(&self) -> Result<usize, LedgerError> {
        let _one = self.emptying.lock().await;
        let batch: Vec<_> = {
            let queue = self.queue();
            let first = queue.records.iter().take(BATCH);
            first.map(|(record, _)| Arc::clone(record)).collect()
        };
        if batch.is_empty() {
            return Ok(0);
        }
        match self.append(&batch).await {
            Ok(()) => {}
            // one of them is refused: the others are not to be lost with it
            Err(error) if error.is_permanent() && batch.len() > 1 => {
                for (written, record) in batch.iter().enumerate() {
                    if let Err(error) = self.append(std::slice::from_ref(record)).await {
                        if !error.is_permanent() {
                            self.remove(written);
                            return Err(error);
                        }
                        self.refused(&error);
                    }
                }
            }
            Err(error) if error.is_permanent() => self.refused(&error),
            Err(error) => return Err(error),
        }
        self.remove(batch.len());
        Ok(batch.len())
    }

    async fn append(&self, batch: &[Arc<Record>]) -> Result<(), LedgerError> {
        match timeout(APPENDING, self.ledger.append(batch)).await {
            Ok(done) => done,
            Err(_) => Err(LedgerError::temporary("it took too long")),
        }
    }

    fn refused(&self, error: &LedgerError) {
        tracing::error!(source = ?std::error::Error::source(error).map(ToString::to_string), "a record was refused");
        self.lose(1);
    }

    fn remove(&self, records: usize) {
        self.queue().records.drain(..records);
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("waiting", &self.waiting())
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}
