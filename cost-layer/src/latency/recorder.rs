//! Where callers leave their samples.

use std::{
    cell::Cell,
    collections::HashMap,
    hash::BuildHasher,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::{
    series::{Latency, Sample, Store},
    slices::Window,
};

/// So many threads never meet at one stripe.
const STRIPES: usize = 16;
/// So many samples are left before one caller carries them on.
const BATCH: usize = 64;
/// Nor are any left for longer than this, as long as calls come.
const LONGEST: u64 = 1;

/// Latencies of all models.
///
/// A caller leaves its sample at a stripe of its thread: a lock that only the thread's own calls, or one
/// in sixteen other threads, ever take. One call in 64 carries what lies there on to the histograms.
pub(crate) struct Recorder {
    stripes: [Stripe; STRIPES],
    store: Mutex<Store>,
    began: Instant,
    limit: Option<Duration>,
}

/// A line of the processor's cache, and the next, which it fetches along, to itself.
#[repr(align(128))]
#[derive(Default)]
struct Stripe(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    samples: Vec<(u32, u64, Sample)>,
    /// The numbers of series that this stripe's threads have met, by a hash of provider and model.
    names: HashMap<u64, u32, RandomState>,
}

/// A model whose answers take too long.
pub(crate) struct TooSlow {
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) p95: Duration,
}

/// With fewer a 95th percentile says nothing.
const LEAST: u64 = 20;

impl Recorder {
    pub(crate) fn new(most_models: usize, limit: Option<Duration>) -> Self {
        Self {
            stripes: Default::default(),
            store: Mutex::new(Store::new(most_models)),
            began: Instant::now(),
            limit,
        }
    }

    /// Books a sample. What is returned is over the limit on the 95th percentile.
    pub(crate) fn record(&self, provider: &str, model: &str, sample: Sample) -> Vec<TooSlow> {
        let second = self.second();
        let mut waiting = lock(&self.stripes[stripe()].0);
        let number = waiting.number(&self.store, provider, model);
        waiting.samples.push((number, second, sample));
        let oldest = waiting.samples.first().map_or(second, |(_, at, _)| *at);
        if waiting.samples.len() < BATCH && second.saturating_sub(oldest) < LONGEST {
            return Vec::new();
        }
        let samples = mem::replace(&mut waiting.samples, Vec::with_capacity(BATCH));
        drop(waiting);
        self.carry(&mut lock(&self.store), &samples, second)
    }

    fn carry(
        &self,
        store: &mut Store,
        samples: &[(u32, u64, Sample)],
        second: u64,
    ) -> Vec<TooSlow> {
        for (number, at, sample) in samples {
            store.record(*number, sample, *at);
        }
        let Some(limit) = self.limit else {
            return Vec::new();
        };
        let mut numbers: Vec<u32> = samples.iter().map(|(number, ..)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let slow = numbers.into_iter().filter_map(|number| {
            let (provider, model, p95) = store.p95(number, LEAST, second)?;
            (p95 > limit).then(|| TooSlow {
                provider: provider.to_owned(),
                model: model.to_owned(),
                p95,
            })
        });
        slow.collect()
    }

    /// Reads the histograms, with all samples in them.
    fn read<T>(&self, read: impl FnOnce(&Store, u64) -> T) -> T {
        let second = self.second();
        // whoever holds a stripe may ask for the store, so never the other way round
        let waiting = self
            .stripes
            .iter()
            .flat_map(|stripe| mem::take(&mut lock(&stripe.0).samples));
        let samples: Vec<_> = waiting.collect();
        let mut store = lock(&self.store);
        for (number, at, sample) in samples {
            store.record(number, &sample, at);
        }
        read(&store, second)
    }

    pub(crate) fn each(&self, window: Window) -> Vec<Latency> {
        self.read(|store, second| store.each(window, second))
    }

    pub(crate) fn of_model(&self, model: &str, window: Window) -> Option<Latency> {
        self.read(|store, second| store.of_model(model, window, second))
    }

    #[cfg(feature = "hdr")]
    pub(crate) fn with_store<T>(&self, read: impl FnOnce(&Store) -> T) -> T {
        self.read(|store, _| read(store))
    }

    fn second(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}

impl Waiting {
    /// The series' number: known to the stripe, or asked of the store once. What the store counts as
    /// other is not remembered: it may be any name at all.
    fn number(&mut self, store: &Mutex<Store>, provider: &str, model: &str) -> u32 {
        let key = self.names.hasher().hash_one((provider, model));
        if let Some(number) = self.names.get(&key) {
            return *number;
        }
        let number = lock(store).number(provider, model);
        if number > 0 {
            self.names.insert(key, number);
        }
        number
    }
}

/// The stripe of this thread; threads take turns.
fn stripe() -> usize {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
