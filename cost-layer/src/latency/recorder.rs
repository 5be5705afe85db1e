//! Latencies of all models, with their clock.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::{
    series::{Latency, Sample, Store},
    slices::Window,
};
use crate::stripes::lock;

/// Latencies of all models. Calls don't come here: their records are carried on, many at once.
pub(crate) struct Recorder {
    store: Mutex<Store>,
    began: Instant,
    limit: Option<Duration>,
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
            store: Mutex::new(Store::new(most_models)),
            began: Instant::now(),
            limit,
        }
    }

    /// Books samples of a provider and a model, each with its second. What is returned is over the
    /// limit on the 95th percentile.
    pub(crate) fn record<'a>(
        &self,
        samples: impl Iterator<Item = (&'a str, &'a str, Sample, u64)>,
    ) -> Vec<TooSlow> {
        let mut store = lock(&self.store);
        let mut numbers = Vec::new();
        let mut last = 0;
        for (provider, model, sample, second) in samples {
            let number = store.number(provider, model, &sample);
            store.record(number, &sample, second);
            last = second;
            if self.limit.is_some() {
                numbers.push(number);
            }
        }
        let Some(limit) = self.limit else {
            return Vec::new();
        };
        numbers.sort_unstable();
        numbers.dedup();
        let slow = numbers.into_iter().filter_map(|number| {
            let (provider, model, p95) = store.p95(number, LEAST, last)?;
            (p95 > limit).then(|| TooSlow {
                provider: provider.to_owned(),
                model: model.to_owned(),
                p95,
            })
        });
        slow.collect()
    }

    fn read<T>(&self, read: impl FnOnce(&Store, u64) -> T) -> T {
        read(&lock(&self.store), self.second())
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

    /// Since it was made.
    pub(crate) fn second(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}
