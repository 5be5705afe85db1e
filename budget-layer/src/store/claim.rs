//! What calls ask of limits, and what they are told.

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher},
    sync::{Arc, LazyLock},
    time::Duration,
};

use crate::{admission, window::Window};

/// What a limit counts for: one user's tokens of a day, all money of a month. A limit's name and whose
/// account it is.
///
/// `Debug` does not show whose.
#[derive(Clone)]
pub struct Scope {
    limit: Arc<str>,
    owner: Arc<str>,
    hash: u64,
    owner_hash: u64,
}

/// Scopes live in one process's memory, so any hash that others can't foresee will do.
static HASH: LazyLock<foldhash::fast::RandomState> = LazyLock::new(Default::default);

impl Scope {
    /// The account of an owner at the limit of a name. The owner of what is limited for all together
    /// is the empty text.
    #[must_use]
    pub fn new(limit: Arc<str>, owner: Arc<str>) -> Self {
        let owner_hash = HASH.hash_one(&*owner);
        let hash = owner_hash.rotate_left(23) ^ HASH.hash_one(&*limit);
        Self {
            limit,
            owner,
            hash,
            owner_hash,
        }
    }

    /// The limit's name.
    #[must_use]
    pub fn limit(&self) -> &str {
        &self.limit
    }

    /// Whose account it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The same for all scopes of an owner.
    pub(crate) const fn owner_hash(&self) -> u64 {
        self.owner_hash
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.owner == other.owner && self.limit == other.limit
    }
}

impl Eq for Scope {}

impl Hash for Scope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({})", self.limit)
    }
}

/// What a call asks of one limit.
///
/// Amounts are whole: tokens, or nano-dollars (10⁻⁹ USD). None is ever larger than 2⁵⁰, over a
/// million dollars, so that they are exact in the floating-point numbers of Redis' scripts.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose account, at which limit.
    pub scope: Scope,
    /// Over which time the limit counts.
    pub window: Window,
    /// The limit, unless the store was told another for this scope.
    pub limit: u64,
    /// With less the call is refused.
    pub least: u64,
    /// What it would like to have, at least `least`.
    pub most: u64,
    /// Whether the limit refuses; one that does not is only counted.
    pub enforced: bool,
}

impl Claim {
    /// Asks for exactly this amount.
    #[must_use]
    pub fn new(scope: Scope, window: Window, limit: u64, amount: u64) -> Self {
        Self {
            scope,
            window,
            limit,
            least: amount,
            most: amount,
            enforced: true,
        }
    }

    /// Asks for up to so much more, as far as it fits.
    #[must_use]
    pub fn up_to(mut self, most: u64) -> Self {
        self.most = most.max(self.least);
        self
    }

    /// Whether the limit refuses. Default yes.
    #[must_use]
    pub const fn enforced(mut self, enforced: bool) -> Self {
        self.enforced = enforced;
        self
    }
}

/// How a scope stands.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Used in this window, by calls that have ended.
    pub used: u64,
    /// Reserved by calls that have not.
    pub reserved: u64,
    /// The limit, with what was granted.
    pub limit: u64,
    /// How long until what was asked for would fit, if nothing else changes. Zero: as soon as running
    /// calls end. `None`: never, or nothing was asked for.
    pub wait: Option<Duration>,
    /// Whether what was asked for did not fit. Of a limit that is not enforced it is told here alone.
    pub is_over: bool,
}

impl Standing {
    /// What may still be reserved.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.limit
            .saturating_sub(self.used)
            .saturating_sub(self.reserved)
    }
}

/// Whether a reservation was made.
#[non_exhaustive]
#[derive(Debug)]
pub enum Reserved<T> {
    /// In every scope, or as much of it in each.
    Granted(Grant<T>),
    /// In none.
    Refused(Refused),
}

/// A reservation that was made.
#[derive(Debug)]
pub struct Grant<T> {
    /// The reservation, to be settled.
    pub reservation: T,
    /// How much of the way from the least to the most was granted.
    pub share: Share,
    /// How each scope stands with it, in the order of the claims.
    pub standings: Vec<Standing>,
}

/// Nothing was reserved.
#[derive(Debug)]
pub struct Refused {
    /// The first claim that did not fit.
    pub index: usize,
    /// How each scope stands, in the order of the claims.
    pub standings: Vec<Standing>,
}

/// How much of the way from the least to the most of every claim was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self(admission::WHOLE);

    pub(crate) const fn new(share: u32) -> Self {
        Self(share)
    }

    /// What was reserved of a claim.
    #[must_use]
    pub fn amount(self, claim: &Claim) -> u64 {
        admission::amount(claim.least, claim.most, self.0)
    }

    /// What was granted of a range, rounded down.
    pub(crate) fn granted(self, least: u64, most: u64) -> u64 {
        admission::granted(least, most, self.0)
    }
}

/// A change that an operator makes to an account.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A limit of its own for this scope; `None`: the layer's again.
    Limit(Option<u64>),
    /// So much more, until the window ends; of a rolling one, for its length.
    Grant(u64),
    /// Nothing was used, and nothing granted. Reservations stay.
    Reset,
}

/// The store did not answer.
#[derive(Debug)]
pub struct StoreError {
    message: Box<str>,
    is_full: bool,
}

impl StoreError {
    /// With a sentence for operators. It is to hold no credential.
    #[must_use]
    pub fn new(message: impl Into<Box<str>>) -> Self {
        Self {
            message: message.into(),
            is_full: false,
        }
    }

    /// It did answer, and has no room for another scope.
    #[must_use]
    pub fn full(message: impl Into<Box<str>>) -> Self {
        Self {
            is_full: true,
            ..Self::new(message)
        }
    }

    /// Whether the store has no room, which is no reason to think that it is away.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}
