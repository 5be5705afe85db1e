//! When a second target is asked while the first is silent, and of how many calls.

mod pace;
mod share;
mod stateless;

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
    num::NonZeroU64,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::quality::RandomState;

pub(crate) use self::stateless::is_stateless;
use self::{pace::Paces, share::Credit};
use crate::routes::ChainId;

/// What a target's pace is remembered by.
pub(crate) type PaceKey = NonZeroU64;

/// How long the first target may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    After(Duration),
    /// As long as 19 of 20 of its answers are.
    Usual,
}

/// What the calls of one layer share.
pub(crate) struct Hedges {
    hasher: RandomState,
    paces: Mutex<Paces>,
    credits: Mutex<HashMap<Whose, Credit, RandomState>>,
}

/// Whose calls a share is of: one chain's, or all of those without a share of their own.
type Whose = Option<ChainId>;

/// How many of whose calls may be hedged.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    pub(crate) percent: u8,
    pub(crate) of: Whose,
}

impl Hedges {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            paces: Mutex::default(),
            credits: Mutex::default(),
        }
    }

    /// What a target's pace is remembered by.
    pub(crate) fn key(&self, of: impl Hash) -> PaceKey {
        PaceKey::MIN.saturating_add(self.hasher.hash_one(of))
    }

    /// A call of which another target may be asked.
    pub(crate) fn call(&self, share: Share) {
        self.credit(share, |credit| credit.earn(share.percent));
    }

    /// Whether another target may be asked now.
    pub(crate) fn take(&self, share: Share) -> bool {
        self.credit(share, Credit::take)
    }

    /// It was not asked after all.
    pub(crate) fn give_back(&self, share: Share) {
        self.credit(share, Credit::give_back);
    }

    fn credit<T>(&self, share: Share, change: impl FnOnce(&mut Credit) -> T) -> T {
        change(lock(&self.credits).entry(share.of).or_default())
    }

    /// The first content came so long after the target's turn did; or none did in that time.
    pub(crate) fn learn(&self, key: PaceKey, took: Duration) {
        lock(&self.paces).learn(key.get(), took);
    }

    /// How long the target may be silent. `None`: too little is known of it.
    pub(crate) fn limit(&self, when: When, key: PaceKey) -> Option<Duration> {
        match when {
            When::After(time) => Some(time),
            When::Usual => lock(&self.paces).usual(key.get()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
