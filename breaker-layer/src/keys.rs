//! The circuits of one layer, by key. Bounded.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use foldhash::{fast::FixedState, quality::RandomState};

use crate::entry::Entry;

/// From so many keys on they are spread over several maps.
const WORTH_SPREADING: usize = 256;
/// A power of two.
const SHARDS: usize = 16;

/// Keys are kept by their hash, which is seeded anew in each process: two that collide share a circuit.
pub(crate) struct Keys {
    shards: Box<[RwLock<Shard>]>,
    hasher: RandomState,
    most_per_shard: usize,
}

#[derive(Default)]
struct Shard {
    // the keys are hashes already; this one is cheap
    entries: HashMap<u64, Slot, FixedState>,
    /// new keys so far: the clock by which a key is idle
    inserted: u64,
}

struct Slot {
    entry: Arc<Entry>,
    /// `inserted` when it was last used; written only when another key has come since
    used: AtomicU64,
}

impl Keys {
    pub(crate) fn new(most: usize) -> Self {
        let shards = if most < WORTH_SPREADING { 1 } else { SHARDS };
        Self {
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            hasher: RandomState::default(),
            most_per_shard: most / shards,
        }
    }

    pub(crate) fn hash(&self, key: impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(crate) fn find(&self, hash: u64) -> Option<Arc<Entry>> {
        let shard = read(self.shard(hash));
        let slot = shard.entries.get(&hash)?;
        if slot.used.load(Relaxed) != shard.inserted {
            slot.used.store(shard.inserted, Relaxed);
        }
        Some(Arc::clone(&slot.entry))
    }

    /// The key's entry, made if there is none. Another one may have to go for it.
    pub(crate) fn find_or_insert(&self, hash: u64, make: impl FnOnce() -> Entry) -> Arc<Entry> {
        if let Some(entry) = self.find(hash) {
            return entry;
        }
        let mut shard = self
            .shard(hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // another thread may have come first
        if let Some(slot) = shard.entries.get(&hash) {
            return Arc::clone(&slot.entry);
        }
        let full = shard.entries.len() >= self.most_per_shard;
        let forgotten = full.then(|| shard.forget_one()).flatten();
        shard.inserted += 1;
        let entry = Arc::new(make());
        let slot = Slot {
            entry: Arc::clone(&entry),
            used: shard.inserted.into(),
        };
        shard.entries.insert(hash, slot);
        drop(shard);
        // what it tells is heard by the app's own code
        if let Some(forgotten) = forgotten {
            forgotten.retire();
        }
        entry
    }

    /// Looks at each entry while none can be forgotten.
    pub(crate) fn each(&self, mut look: impl FnMut(&Arc<Entry>)) {
        for shard in &self.shards {
            read(shard)
                .entries
                .values()
                .for_each(|slot| look(&slot.entry));
        }
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // the low bits choose the place within the map
        &self.shards[(hash >> 32) as usize & (self.shards.len() - 1)]
    }
}

impl Shard {
    /// A scan for each new key beyond the limit: junk model names cost time, never memory.
    fn forget_one(&mut self) -> Option<Arc<Entry>> {
        let idle = self.entries.iter().min_by_key(|(_, slot)| {
            let (forced, closed) = (slot.entry.is_forced(), slot.entry.is_closed());
            (forced, !closed, slot.used.load(Relaxed))
        });
        let hash = idle.map(|(hash, _)| *hash)?;
        self.entries.remove(&hash).map(|slot| slot.entry)
    }
}

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}
