//! A store that may be away.

mod circuit;
mod futures;
mod owed;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use self::futures::{Extend, Read, Reserve};
use self::{
    circuit::{Change, Circuit, Leave},
    futures::{Asking, Extending},
    owed::Owed,
};
use super::{Claim, Edit, MemoryReservation, MemoryStore, Reserved, Standing, Store, StoreError};

/// What happens to calls while the store is away.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenAway {
    /// They are refused: what can't be counted is not spent. The default, as whoever sets a limit
    /// would rather have no answer than a bill without end.
    #[default]
    Refuse,
    /// They are admitted by this process's own accounts, which hold what was spent here while the
    /// store was away: each process may spend up to the whole limit then. The store is told
    /// when it is back.
    Admit,
}

/// A store that may be away, and what happens then: no call waits longer than its bound, a store that
/// does not answer is left alone for a while, and what is spent meanwhile is booked later.
///
/// After three calls in a row that found no answer, calls do not wait at all. Once a pause one of them
/// tries whether the store is back, and waits at most as long as before. No task is spawned.
///
/// What was spent while the store was away is summed by scope, in at most 65,536 scopes, and charged by the first call
/// that finds the store back, or when the last clone of this is dropped, in the windows of that moment. A call for
/// which there is no place left is refused, whatever was set: nothing that is spent is lost but with the
/// process. What calls that the store admitted use is the store's own to book later: a `RedisStore` has a
/// queue for it, and charges by their leases what finds no place there.
///
/// ```
/// use budget_layer::store::{Guarded, MemoryStore, WhenAway};
///
/// let store = Guarded::new(MemoryStore::new()).when_away(WhenAway::Admit);
/// assert!(!store.is_away());
/// ```
#[derive(Clone)]
pub struct Guarded<S: Store> {
    shared: Arc<Shared<S>>,
}

struct Shared<S: Store> {
    store: S,
    when_away: WhenAway,
    wait: Duration,
    circuit: Circuit,
    /// What this process spent while the store was away.
    own: MemoryStore,
    owed: Owed,
}

/// What one call reserved in a [`Guarded`] store.
pub struct GuardedReservation<S: Store>(Kept<S>);

enum Kept<S: Store> {
    InStore(S::Reservation),
    /// The store was away.
    Here {
        own: MemoryReservation,
        claims: Arc<[Claim]>,
    },
}

const MOST_SCOPES: usize = 1 << 16;
/// So many scopes are charged at a time.
const PORTION: usize = 64;

impl<S: Store> Guarded<S> {
    /// Refuses while the store is away. A call waits for it at most 250 ms, and it is tried again once a second.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                when_away: WhenAway::default(),
                wait: Duration::from_millis(250),
                circuit: Circuit::new(Duration::from_secs(1)),
                own: MemoryStore::new(),
                owed: Owed::new(MOST_SCOPES),
            }),
        }
    }

    /// Changes a store that is not in use yet; a clone is left as it is.
    fn with(self, change: impl FnOnce(&mut Shared<S>)) -> Self {
        let old = &self.shared;
        let mut new = Shared {
            store: old.store.clone(),
            when_away: old.when_away,
            wait: old.wait,
            circuit: Circuit::new(old.circuit.pause()),
            own: old.own.clone(),
            owed: Owed::new(MOST_SCOPES),
        };
        change(&mut new);
        Self {
            shared: Arc::new(new),
        }
    }

    /// What happens to calls while the store is away. Default [`WhenAway::Refuse`].
    #[must_use]
    pub fn when_away(self, when_away: WhenAway) -> Self {
        self.with(|shared| shared.when_away = when_away)
    }

    /// How long a call waits for the store at most, each time that it asks. Default 250 ms.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        self.with(|shared| shared.wait = wait)
    }

    /// How long a store that is away is left alone before one call tries it again. Default 1 s.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        self.with(|shared| shared.circuit = Circuit::new(pause))
    }

    /// The clock by which windows of the process's own accounts begin and end.
    #[must_use]
    pub fn clock(self, clock: llm_exchange::WallClock) -> Self {
        self.with(|shared| shared.own = MemoryStore::new().clock(clock))
    }

    /// The store itself.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.shared.store
    }

    /// Whether the store is away, as far as the last calls saw.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.shared.circuit.is_open()
    }

    /// Of how many scopes something was spent that the store does not know of yet.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.shared.owed.scopes()
    }
}

impl<S: Store> Shared<S> {
    fn answered(&self, leave: Leave) {
        if self.circuit.answered(leave) == Change::Closed {
            tracing::info!("the budgets' store is back");
            self.book();
        }
    }

    fn failed(&self, leave: Leave) {
        if self.circuit.failed(leave, Instant::now()) == Change::Opened {
            let admitted = self.when_away == WhenAway::Admit;
            tracing::error!(admitted, "the budgets' store is away");
        }
    }

    /// Charges what is owed.
    fn book(&self) {
        for portion in self.owed.take().chunks(PORTION) {
            self.store.charge(portion);
        }
    }

    /// A call ended that the store does not know.
    fn owe(&self, claims: &[Claim], used: &[u64]) {
        self.owed.add(claims, used);
        if !self.circuit.is_open() {
            self.book();
        }
    }

    /// What the process's own accounts say, where calls are admitted.
    fn admit(&self, claims: &Arc<[Claim]>) -> Result<Reserved<MemoryReservation>, StoreError> {
        if !self.owed.keep(claims.len()) {
            tracing::error!("too much is owed to the budgets' store: a call is refused");
            return Err(StoreError::new(
                "the store is away, and no more can be kept for it",
            ));
        }
        let reserved = self.own.reserve(claims).into_inner();
        if !matches!(reserved, Ok(Reserved::Granted(_))) {
            self.owed.add(claims, &[]);
        }
        reserved
    }
}

impl<S: Store> Drop for Shared<S> {
    fn drop(&mut self) {
        if !self.owed.is_empty() {
            self.book();
        }
    }
}

fn away() -> StoreError {
    StoreError::new("the store is away")
}

impl<S: Store> Store for Guarded<S> {
    type Reservation = GuardedReservation<S>;
    type Reserve = Reserve<S>;
    type Extend = Extend<S>;
    type Read = Read<S>;

    fn reserve(&self, claims: &[Claim]) -> Reserve<S> {
        let leave = self.shared.circuit.enter(Instant::now());
        let admits = self.shared.when_away == WhenAway::Admit;
        Reserve {
            asking: Asking::new(&self.shared, leave, |store| store.reserve(claims)),
            claims: admits.then(|| claims.into()),
        }
    }

    fn extend(&self, reservation: &mut GuardedReservation<S>, claims: &[Claim]) -> Extend<S> {
        Extend(match &mut reservation.0 {
            Kept::Here { own, .. } => {
                let reserved = self.shared.own.extend(own, claims).into_inner();
                Extending::Here(Some(reserved))
            }
            Kept::InStore(kept) => {
                let leave = self.shared.circuit.enter(Instant::now());
                let admits = self.shared.when_away == WhenAway::Admit;
                Extending::InStore {
                    asking: Asking::new(&self.shared, leave, |store| store.extend(kept, claims)),
                    admit: admits.then(|| claims.iter().map(unknown).collect()),
                }
            }
        })
    }

    fn settle(&self, reservation: GuardedReservation<S>, used: &[u64]) {
        match reservation.0 {
            Kept::InStore(kept) => self.shared.store.settle(kept, used),
            Kept::Here { own, claims } => {
                self.shared.own.settle(own, used);
                self.shared.owe(&claims, used);
            }
        }
    }

    fn charge(&self, claims: &[Claim]) {
        let shared = &self.shared;
        if !shared.circuit.is_open() || !shared.owed.keep(claims.len()) {
            return shared.store.charge(claims);
        }
        // sums take less room than the store's own queue
        let used: Vec<_> = claims.iter().map(|claim| claim.least).collect();
        shared.owe(claims, &used);
    }

    /// Asks the store even where it is known to be away: operators do.
    fn read(&self, claims: &[Claim]) -> Read<S> {
        let leave = Some(Leave::Usual);
        Read(Asking::new(&self.shared, leave, |store| store.read(claims)))
    }

    fn edit(&self, claim: &Claim, edit: Edit) -> Read<S> {
        let leave = Some(Leave::Usual);
        Read(Asking::new(&self.shared, leave, |store| {
            store.edit(claim, edit)
        }))
    }
}

/// How a scope stands of which the store does not tell.
fn unknown(claim: &Claim) -> Standing {
    Standing {
        limit: claim.limit,
        ..Standing::default()
    }
}

impl<S: Store> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("when_away", &self.shared.when_away)
            .field("is_away", &self.is_away())
            .field("owed", &self.owed())
            .finish_non_exhaustive()
    }
}

impl<S: Store> fmt::Debug for GuardedReservation<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedReservation").finish_non_exhaustive()
    }
}
