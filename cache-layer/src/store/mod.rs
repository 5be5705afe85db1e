//! Where entries are kept.

mod memory;
#[cfg(feature = "redis")]
mod redis;
mod tiered;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

#[cfg(all(feature = "redis", fuzzing))]
pub(crate) use self::redis::fuzz;
#[cfg(feature = "redis")]
pub use self::redis::{Generations, InvalidRedis, RedisStore};
pub use self::{
    memory::MemoryStore,
    tiered::{GetTiered, Tiered},
};
use crate::{Entry, Key, Tag, Tags, together::all};

/// Where entries are kept: in this process, on a server, or in one before the other.
///
/// A store never fails: what it can't find, reach or read is not there.
pub trait Store: Clone + Send + Sync + 'static {
    /// The future of [`get`](Self::get): ready at once in memory, boxed where it waits.
    type Get: Future<Output = Found<Self::Ticket>> + Send + Unpin + 'static;

    /// What a lookup knows of the removals until then.
    type Ticket: Clone + Default + Send + Sync + Unpin + 'static;

    /// Looks for an entry. It is to come to an end within a bound of its own, whatever happens.
    fn get(&self, wanted: &Wanted) -> Self::Get;

    /// Looks for the entries of several texts of one call, in their order. A store on a server asks for
    /// them in one round trip; unless it does, they are looked for one beside the other.
    fn get_all(&self, wanted: &[Wanted]) -> GetAll<Self::Ticket> {
        let gets = wanted.iter().map(|wanted| self.get(wanted)).collect();
        Box::pin(async {
            let found = all(gets, |_, _| false).await;
            found.into_iter().map(Option::unwrap_or_default).collect()
        })
    }

    /// Whether the store was really asked in the lookup of this ticket: then what it did not find is not
    /// there. A store that can't be reached says no.
    fn has_answered(&self, ticket: &Self::Ticket) -> bool {
        let _ = ticket;
        true
    }

    /// Looks for an entry where that needs no waiting. `None` also where it would.
    fn get_now(&self, wanted: &Wanted) -> Option<Arc<Entry>> {
        let _ = wanted;
        None
    }

    /// Keeps an entry, or has it kept; it replaces one of the same key. Does not wait. `ticket` is
    /// that of the lookup which found nothing: what was removed since is not to come back by an
    /// answer from before.
    fn put(&self, wanted: &Wanted, entry: Arc<Entry>, ticket: Self::Ticket) -> Put;

    /// Removes entries.
    fn remove(&self, what: Remove) -> Removing;

    /// How much there is.
    fn size(&self) -> StoreSize;

    /// The secret that all processes share who use the store: keys are hashed with it. `None`: the
    /// entries stay in this process, and keys are hashed with a secret that nobody knows.
    fn secret(&self) -> Option<&[u8]> {
        None
    }
}

/// The future of [`Store::get_all`].
pub type GetAll<T> = Pin<Box<dyn Future<Output = Vec<Found<T>>> + Send>>;

/// What is looked for: a key, and what an entry of it would belong to.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The key.
    pub key: Key,
    /// What the entry belongs to.
    pub tags: Tags,
    /// The time, in milliseconds since 1970.
    pub now: u64,
}

/// What a lookup came to.
#[derive(Clone, Debug, Default)]
pub struct Found<T> {
    /// The entry, if there is one; it may be past its time.
    pub entry: Option<Arc<Entry>>,
    /// To be given back with the answer that is stored in its place.
    pub ticket: T,
}

/// Whether an entry is kept.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept, or will be as soon as the server has it.
    Kept,
    /// It is larger than the store takes.
    TooLarge,
    /// It came too late: entries of its kind were removed meanwhile.
    Removed,
    /// The store has too much to do.
    Busy,
}

/// Which entries to remove.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remove {
    /// The one of this key.
    Key(Key),
    /// Those of this model, credential or user.
    Tag(Tag),
    /// All.
    All,
}

/// The future of [`Store::remove`].
pub type Removing = Pin<Box<dyn Future<Output = Result<(), NotRemoved>> + Send>>;

/// A server could not be reached, so that entries may still be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRemoved(pub(crate) ());

impl fmt::Display for NotRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the entries could not be removed, as the store did not answer")
    }
}

impl std::error::Error for NotRemoved {}

/// How much there is in a store.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// Entries in this process.
    pub entries: u64,
    /// The bytes that they take.
    pub bytes: u64,
    /// The most bytes that they may take.
    pub max_bytes: u64,
}
