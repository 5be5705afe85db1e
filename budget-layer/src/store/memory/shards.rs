//! Accounts behind locks, a call in all of its scopes at once.

use std::{
    collections::{HashMap, hash_map},
    hash::{BuildHasherDefault, Hasher},
};

use crate::{
    account::{Account, MOST},
    admission::{self, Asked},
    store::{Claim, Edit, Grant, Refused, Reserved, Scope, Share, Standing, StoreError},
    sync::{Mutex, MutexGuard},
    window::Window,
};

/// By the scopes' owners, so that all limits of one user lie behind one lock, and those of another
/// user most likely behind another.
const SHARDS: usize = 64;

/// A full shard is searched for idle accounts no more often than this, in milliseconds.
const SWEEP: u64 = 1_000;

/// All accounts of a store.
pub(crate) struct Shards {
    shards: Vec<Mutex<Shard>>,
    max_in_shard: usize,
}

#[derive(Default)]
struct Shard {
    accounts: HashMap<Scope, Account, BuildHasherDefault<Known>>,
    swept: u64,
    /// Something changed since it was saved.
    dirty: bool,
}

/// What is reserved of one scope.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) scope: Scope,
    pub(crate) window: Window,
    pub(crate) amount: u64,
}

/// A scope brings its hash along.
#[derive(Default)]
struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Shards {
    pub(crate) fn new(max_scopes: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
            max_in_shard: max_scopes.div_ceil(SHARDS).max(1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        (0..SHARDS)
            .map(|index| self.lock(index).accounts.len())
            .sum()
    }

    pub(crate) fn reserve(&self, claims: &[Claim], now: u64) -> Result<Reserved<()>, StoreError> {
        let mut shards = self.lock_all(claims.iter().map(|claim| &claim.scope));
        let mut asked = Vec::with_capacity(claims.len());
        for claim in claims {
            let account = shards
                .of(&claim.scope)
                .account(claim, self.max_in_shard, now)?;
            asked.push(Asked {
                left: account.left(claim.limit),
                least: claim.least,
                most: claim.most,
                enforced: claim.enforced,
            });
        }
        let fits = admission::fit(asked.iter().copied());
        let mut standings = Vec::with_capacity(claims.len());
        for (claim, asked) in claims.iter().zip(&asked) {
            let shard = shards.of(&claim.scope);
            let Some(account) = shard.accounts.get_mut(&claim.scope) else {
                continue;
            };
            let mut standing = standing(account, claim, now);
            standing.is_over = asked.left < asked.least;
            if let Ok(share) = fits {
                let amount = Share::new(share).amount(claim);
                account.reserve(amount);
                standing.reserved = account.reserved();
                shard.dirty = true;
            }
            standings.push(standing);
        }
        Ok(match fits {
            Ok(share) => Reserved::Granted(Grant {
                reservation: (),
                share: Share::new(share),
                standings,
            }),
            Err(index) => Reserved::Refused(Refused { index, standings }),
        })
    }

    pub(crate) fn settle(&self, entries: &[Entry], used: &[u64], now: u64) {
        let mut shards = self.lock_all(entries.iter().map(|entry| &entry.scope));
        for (index, entry) in entries.iter().enumerate() {
            let amount = used.get(index).copied().unwrap_or(0);
            let shard = shards.of(&entry.scope);
            shard.dirty = true;
            // an account with a reservation is not idle, so it is here
            if let Some(account) = shard.accounts.get_mut(&entry.scope) {
                account.settle(&entry.window, entry.amount, amount, now);
            }
        }
    }

    /// Even where a shard is full: what was used is never forgotten.
    pub(crate) fn charge(&self, claims: &[Claim], now: u64) {
        let mut shards = self.lock_all(claims.iter().map(|claim| &claim.scope));
        for claim in claims {
            let shard = shards.of(&claim.scope);
            if let Ok(account) = shard.account(claim, usize::MAX, now) {
                account.settle(&claim.window, 0, claim.least, now);
                shard.dirty = true;
            }
        }
    }

    pub(crate) fn read(&self, claims: &[Claim], now: u64) -> Vec<Standing> {
        let mut shards = self.lock_all(claims.iter().map(|claim| &claim.scope));
        claims
            .iter()
            .map(
                |claim| match shards.of(&claim.scope).accounts.get_mut(&claim.scope) {
                    Some(account) => {
                        account.roll(&claim.window, now);
                        Standing {
                            wait: None,
                            ..standing(account, claim, now)
                        }
                    }
                    None => Standing {
                        limit: claim.limit.min(MOST),
                        ..Standing::default()
                    },
                },
            )
            .collect()
    }

    pub(crate) fn edit(&self, claim: &Claim, edit: Edit, now: u64) -> Result<Standing, StoreError> {
        let mut shards = self.lock_all([&claim.scope]);
        let shard = shards.of(&claim.scope);
        let account = shard.account(claim, self.max_in_shard, now)?;
        match edit {
            Edit::Limit(limit) => account.set_limit(limit),
            Edit::Grant(amount) => account.grant(&claim.window, amount, now),
            Edit::Reset => account.reset(&claim.window, now),
        }
        let standing = Standing {
            wait: None,
            ..standing(account, claim, now)
        };
        shard.dirty = true;
        Ok(standing)
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        // a shard is never left half changed
        match self.shards[index].lock() {
            Ok(shard) => shard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Always in the same order, so that two calls never wait for each other.
    fn lock_all<'s>(&self, scopes: impl IntoIterator<Item = &'s Scope>) -> Locked<'_> {
        let mut scopes = scopes.into_iter().map(shard_of);
        let first = scopes.next().unwrap_or(0);
        let mut others: Vec<usize> = scopes.filter(|index| *index != first).collect();
        if others.is_empty() {
            return Locked::One(self.lock(first));
        }
        others.push(first);
        others.sort_unstable();
        others.dedup();
        let locked = others.into_iter().map(|index| (index, self.lock(index)));
        Locked::Several(locked.collect())
    }

    /// Hands each account on that is not idle, and was not handed on since it changed last.
    pub(crate) fn each(&self, now: u64, mut save: impl FnMut(&Scope, &Account)) {
        for index in 0..SHARDS {
            let mut shard = self.lock(index);
            shard.dirty = false;
            for (scope, account) in &shard.accounts {
                if !account.is_idle(now) {
                    save(scope, account);
                }
            }
        }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        (0..SHARDS).any(|index| self.lock(index).dirty)
    }

    /// Puts an account where none is yet.
    pub(crate) fn restore(&self, scope: Scope, account: Account) {
        let mut shard = self.lock(shard_of(&scope));
        shard.accounts.insert(scope, account);
    }
}

const fn shard_of(scope: &Scope) -> usize {
    // the low bits choose the place within a map
    (scope.owner_hash() >> 48) as usize % SHARDS
}

enum Locked<'s> {
    One(MutexGuard<'s, Shard>),
    Several(Vec<(usize, MutexGuard<'s, Shard>)>),
}

impl Locked<'_> {
    fn of(&mut self, scope: &Scope) -> &mut Shard {
        match self {
            Self::One(shard) => shard,
            Self::Several(shards) => {
                let index = shard_of(scope);
                // one for each scope was locked
                let place = shards.iter().position(|(locked, _)| *locked == index);
                &mut shards[place.unwrap_or(0)].1
            }
        }
    }
}

impl Shard {
    fn account(
        &mut self,
        claim: &Claim,
        most: usize,
        now: u64,
    ) -> Result<&mut Account, StoreError> {
        if self.accounts.len() >= most && !self.accounts.contains_key(&claim.scope) {
            self.sweep(now);
            if self.accounts.len() >= most {
                return Err(StoreError::full(
                    "the memory store has no room for another scope",
                ));
            }
        }
        let account = match self.accounts.entry(claim.scope.clone()) {
            hash_map::Entry::Occupied(account) => account.into_mut(),
            hash_map::Entry::Vacant(place) => place.insert(Account::new(&claim.window, now)),
        };
        account.roll(&claim.window, now);
        Ok(account)
    }

    fn sweep(&mut self, now: u64) {
        if now.abs_diff(self.swept) >= SWEEP {
            self.swept = now;
            self.accounts.retain(|_, account| {
                account.forget_parts(now);
                !account.is_idle(now)
            });
        }
    }
}

fn standing(account: &Account, claim: &Claim, now: u64) -> Standing {
    let wait = account.wait(&claim.window, claim.limit, claim.least, now);
    Standing {
        used: account.used(),
        reserved: account.reserved(),
        limit: account.limit(claim.limit),
        wait: wait.map(std::time::Duration::from_millis),
        is_over: false,
    }
}
