//! Between the calls and the ledger: a bounded queue, and one task that empties it.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
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
const BATCH: usize = 100;
/// Records wait so long for others.
const LINGER: Duration = Duration::from_millis(50);
/// A ledger that takes longer is taken to be away.
const APPENDING: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// When nobody is left who could flush, a ledger that is away is given up after so many times: a minute.
const MOST_TRIES: u32 = 12;

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

pub(crate) struct Writer(Arc<Shared>);

struct Shared {
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
    /// A task is there that empties it.
    is_served: bool,
}

impl Writer {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, limits: WriterLimits) -> Self {
        let capacity = limits.capacity.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            ledger,
            queue: Mutex::default(),
            places: Arc::new(Semaphore::new(capacity)),
            overflow: limits.overflow,
            lost: AtomicU64::new(0),
            full: Notify::new(),
            emptying: tokio::sync::Mutex::new(()),
        }))
    }

    pub(crate) fn ledger(&self) -> &dyn Ledger {
        &*self.0.ledger
    }

    /// A place for a call that is about to be sent. `Err`: it has to be waited for.
    pub(crate) fn place(&self) -> Result<Place, Pin<Box<dyn Future<Output = Place> + Send>>> {
        let Overflow::Wait(at_most) = self.0.overflow else {
            return Ok(Place(None));
        };
        let places = Arc::clone(&self.0.places);
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => Ok(Place(Some(place))),
            Err(_) => Err(Box::pin(async move {
                let place = timeout(at_most, places.acquire_owned()).await;
                Place(place.ok().and_then(Result::ok))
            })),
        }
    }

    /// Hands a record on. It never waits; what there is no place for is lost, and counted.
    pub(crate) fn push(&self, record: Arc<Record>, place: Place) {
        let shared = &self.0;
        let place = place
            .0
            .map_or_else(|| Arc::clone(&shared.places).try_acquire_owned().ok(), Some);
        let Some(place) = place else {
            shared.lose(1);
            return;
        };
        let mut queue = shared.queue();
        queue.records.push_back((record, place));
        let is_full = queue.records.len() == BATCH;
        let serve = !queue.is_served;
        // without a runtime whoever flushes writes them
        let runtime = if serve {
            Handle::try_current().ok()
        } else {
            None
        };
        queue.is_served |= runtime.is_some();
        drop(queue);
        if let Some(runtime) = runtime {
            let serving = Serving {
                shared: Arc::clone(shared),
                is_over: false,
            };
            runtime.spawn(serve_queue(serving));
        } else if is_full {
            shared.full.notify_one();
        }
    }

    /// Writes all that is in the queue now.
    pub(crate) async fn flush(&self) -> Result<(), LedgerError> {
        let mut left = self.waiting();
        while left > 0 {
            let written = self.0.write_batch().await?;
            // another one may have written them
            left = left.saturating_sub(written.max(1)).min(self.waiting());
        }
        Ok(())
    }

    /// How many records wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.queue().records.len()
    }

    /// How many were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Relaxed)
    }
}

/// The task. However it ends, also with its runtime, the next record begins another one.
struct Serving {
    shared: Arc<Shared>,
    is_over: bool,
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.queue().is_served = false;
        }
    }
}

async fn serve_queue(mut serving: Serving) {
    let shared = Arc::clone(&serving.shared);
    let mut tries = 0;
    loop {
        if shared.queue().records.len() < BATCH {
            // in a moment there may be more
            let _ = timeout(LINGER, shared.full.notified()).await;
        }
        match shared.write_batch().await {
            Ok(_) => tries = 0,
            Err(error) => {
                tracing::warn!(%error, source = ?std::error::Error::source(&error).map(ToString::to_string), "records wait");
                tries += 1;
                // nobody but this task
                if tries >= MOST_TRIES && Arc::strong_count(&shared) == 2 {
                    let left = shared.queue().records.drain(..).count();
                    shared.lose(left as u64);
                    return;
                }
                let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(10));
                sleep(pause.min(LONGEST_PAUSE)).await;
            }
        }
        let mut queue = shared.queue();
        if queue.records.is_empty() {
            // said while the queue is held, so that no record is left without a task
            queue.is_served = false;
            serving.is_over = true;
            return;
        }
    }
}

impl Shared {
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
    async fn write_batch(&self) -> Result<usize, LedgerError> {
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
