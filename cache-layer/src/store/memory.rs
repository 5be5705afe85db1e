use std::{
    collections::VecDeque,
    fmt,
    future::{Ready, ready},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

use super::{Found, Put, Remove, Removing, Store, StoreSize, Wanted};
use crate::{Entry, Key, key::BuildAsItIs};

/// Entries in memory, bounded in bytes.
///
/// What was asked for again stays longest, and a flood of calls that are made once drives little out
/// (S3-FIFO). The bytes are split evenly over shards, and an entry must fit into one: there are as many
/// shards as leave each 16 MiB, at most 64. A larger entry is [told](Put::TooLarge). Entries past their
/// time take their bytes until they are asked for or driven out.
///
/// An answer that is under way while its like is removed is not kept; nor is one during which there were
/// more than 1,024 removals of whatever kind.
///
/// Clones share the entries.
#[derive(Clone)]
pub struct MemoryStore(Arc<Memory>);

struct Memory {
    entries: Cache<Key, Arc<Entry>, Bytes, BuildAsItIs>,
    /// The most that one entry may weigh.
    largest: u64,
    /// How often something was removed.
    removals: AtomicU64,
    /// What was removed last, the latest at the end.
    removed: Mutex<VecDeque<Remove>>,
}

/// The most removals that are remembered. An answer that was under way for longer is not kept.
const MOST_REMOVED: usize = 1024;

const LEAST_OF_A_SHARD: u64 = 16 << 20;
const MOST_SHARDS: u64 = 64;
/// The share of a shard that entries which were asked for again may take; none heavier is taken.
const HOT: f64 = 0.97;
/// The usual answer, of which the number of entries is estimated.
const USUAL: u64 = 4 << 10;

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Arc<Entry>> for Bytes {
    fn weight(&self, _: &Key, entry: &Arc<Entry>) -> u64 {
        entry.size() as u64
    }
}

impl MemoryStore {
    /// A store of at most so many bytes.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        let shards = (max_bytes / LEAST_OF_A_SHARD).clamp(1, MOST_SHARDS);
        // a power of two, as the cache would round it up
        let shards = 1 << shards.ilog2();
        let estimated = usize::try_from(max_bytes / USUAL).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .shards(shards)
            .weight_capacity(max_bytes)
            .estimated_items_capacity(estimated.clamp(16, 1 << 20))
            .hot_allocation(HOT)
            .build()
            .expect("all that is needed is set");
        let entries = Cache::with_options(
            options,
            Bytes,
            BuildAsItIs::default(),
            quick_cache::sync::DefaultLifecycle::default(),
        );
        let largest = (entries.shard_capacity() as f64 * HOT) as u64;
        Self(Arc::new(Memory {
            entries,
            largest,
            removals: AtomicU64::new(0),
            removed: Mutex::default(),
        }))
    }

    /// The most that one entry may take, in bytes.
    #[must_use]
    pub fn max_entry_bytes(&self) -> u64 {
        self.0.largest
    }
}

impl Memory {
    /// Takes note of a removal, before it is carried out.
    fn note(&self, what: Remove) {
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        if removed.len() == MOST_REMOVED {
            removed.pop_front();
        }
        removed.push_back(what);
        self.removals.fetch_add(1, SeqCst);
    }

    /// Whether this entry was removed since, or may have been.
    fn was_removed(&self, key: &Key, entry: &Entry, since: u64) -> bool {
        if self.removals.load(SeqCst) == since {
            return false;
        }
        let removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let later = self.removals.load(SeqCst).saturating_sub(since);
        let later = usize::try_from(later).unwrap_or(usize::MAX);
        later > removed.len()
            || removed.iter().rev().take(later).any(|what| match what {
                Remove::Key(other) => other == key,
                Remove::Tag(tag) => entry.tags().iter().any(|other| other == *tag),
                Remove::All => true,
            })
    }
}

impl Store for MemoryStore {
    type Get = Ready<Found<u64>>;
    type Ticket = u64;

    fn get(&self, wanted: &Wanted) -> Self::Get {
        let ticket = self.0.removals.load(SeqCst);
        let entry = self.get_now(wanted);
        ready(Found { entry, ticket })
    }

    fn get_now(&self, wanted: &Wanted) -> Option<Arc<Entry>> {
        let entry = self.0.entries.get(&wanted.key)?;
        if entry.is_over(wanted.now) {
            self.0.entries.remove(&wanted.key);
            return None;
        }
        Some(entry)
    }

    fn put(&self, wanted: &Wanted, entry: Arc<Entry>, ticket: u64) -> Put {
        if entry.size() as u64 > self.0.largest {
            return Put::TooLarge;
        }
        if self.0.was_removed(&wanted.key, &entry, ticket) {
            return Put::Removed;
        }
        self.0.entries.insert(wanted.key, Arc::clone(&entry));
        // a removal that began before the insertion may have missed it
        if self.0.was_removed(&wanted.key, &entry, ticket) {
            self.0.entries.remove(&wanted.key);
            return Put::Removed;
        }
        Put::Kept
    }

    fn remove(&self, what: Remove) -> Removing {
        self.0.note(what);
        match what {
            Remove::Key(key) => {
                self.0.entries.remove(&key);
            }
            Remove::Tag(tag) => {
                let belongs = |entry: &Entry| entry.tags().iter().any(|other| other == tag);
                self.0.entries.retain(|_, entry| !belongs(entry));
            }
            Remove::All => self.0.entries.clear(),
        }
        Box::pin(ready(Ok(())))
    }

    fn size(&self) -> StoreSize {
        StoreSize {
            entries: self.0.entries.len() as u64,
            bytes: self.0.entries.weight(),
            max_bytes: self.0.entries.capacity(),
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryStore").field(&self.size()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tag, Tags, entry::tests::entry};

    fn wanted(number: u64) -> Wanted {
        let mut key = [0; 32];
        let hash = blake3::hash(&number.to_le_bytes());
        key.copy_from_slice(hash.as_bytes());
        Wanted {
            key: Key(key),
            tags: Tags::default(),
            now: 0,
        }
    }

    fn there(store: &MemoryStore, number: u64) -> bool {
        store.get_now(&wanted(number)).is_some()
    }

    #[test]
    fn the_largest_entry_fits_into_a_shard_and_a_larger_one_is_told() {
        for max_bytes in [1 << 10, 1 << 20, 16 << 20, 100 << 20, 256 << 20, 1 << 33] {
            let store = MemoryStore::new(max_bytes);
            let largest = usize::try_from(store.max_entry_bytes()).unwrap();
            assert!(
                largest as u64 >= (max_bytes / 100 * 97).min(15 << 20),
                "{max_bytes}"
            );
            let body = |size: usize| vec![0; size - entry("").size()];
            let put = |number, size| store.put(&wanted(number), Arc::new(entry(body(size))), 0);
            assert_eq!(put(1, largest + 1), Put::TooLarge);
            assert!(!there(&store, 1));
            assert_eq!(put(2, largest), Put::Kept);
            assert!(there(&store, 2), "{max_bytes}: not admitted");
        }
    }

    #[test]
    fn whatever_is_put_the_bytes_stay_bounded_and_what_is_asked_again_outlives_a_flood() {
        let store = MemoryStore::new(1 << 20);
        let put = |number| {
            let entry = Arc::new(entry(vec![0; 4000]));
            assert_eq!(store.put(&wanted(number), entry, 0), Put::Kept);
        };
        for number in 0..50 {
            put(number);
            assert!(there(&store, number));
        }
        for number in 1_000..11_000 {
            put(number);
            assert!(store.size().bytes <= 1 << 20);
        }
        let left = (0..50).filter(|number| there(&store, *number)).count();
        assert!(left >= 45, "only {left} of 50 are left");
    }

    #[test]
    fn of_the_answers_under_way_only_those_that_were_removed_are_not_kept() {
        let store = MemoryStore::new(1 << 20);
        let remove = |what| drop(store.remove(what));
        let put = |number, model, ticket| {
            let mut entry = entry("x");
            entry.head.tags = [Some(model), None, None];
            store.put(&wanted(number), Arc::new(entry), ticket)
        };
        remove(Remove::All);
        assert_eq!(put(1, 5, 0), Put::Removed);
        let before = store.0.removals.load(SeqCst);
        remove(Remove::Key(wanted(2).key));
        remove(Remove::Tag(Tag(6)));
        assert_eq!(put(1, 5, before), Put::Kept);
        assert_eq!(put(2, 5, before), Put::Removed);
        assert_eq!(put(3, 6, before), Put::Removed);
        assert!(there(&store, 1) && !there(&store, 2) && !there(&store, 3));
        // what is not remembered may have been anything
        for _ in 0..MOST_REMOVED {
            remove(Remove::Key(wanted(9).key));
        }
        assert_eq!(put(4, 5, before), Put::Removed);
        assert_eq!(put(4, 5, store.0.removals.load(SeqCst)), Put::Kept);
    }
}
