//! Accounts in Redis or Valkey, for several machines.

mod script;
mod worker;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use llm_exchange::WallClock;
use redis::{
    Client,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::runtime::Handle;

use self::{
    script::{Reply, Scripts},
    worker::{Queue, Settlement},
};
use super::{Claim, Edit, Grant, Refused, Reserved, Standing, Store, StoreError, memory::millis};

/// Accounts in Redis or Valkey, shared by every process that uses the same server and prefix. Feature
/// `redis`.
///
/// A call is admitted by one script over all of its scopes, in one round trip, by the server's clock;
/// and settled in one. All keys have one hash tag (`{llm-budget}`), so that they lie on one node of a
/// cluster. Amounts are integers that Redis' scripts hold exactly.
///
/// One task on the tokio runtime where the store is first used books what has ended, in order, again
/// until the server has it, and each once; and renews the leases of running calls. It holds up to 100,000
/// ended calls while the server is away; of more, the lease lapses and what was reserved is charged, and
/// what was spent without a reservation is added up, for up to 100,000 scopes. A server that comes again
/// without its last writes has forgotten what these booked. The task ends when the last clone of the store is dropped and all is booked, or five seconds later.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    /// Tells the worker to end.
    _owner: Arc<Owner>,
}

/// What one call reserved in a [`RedisStore`].
#[derive(Debug)]
pub struct RedisReservation {
    number: u64,
    claims: Arc<[Claim]>,
}

/// The address is none that can be used.
#[derive(Debug)]
pub struct InvalidAddress(());

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the address may have a password in it
        f.write_str("a Redis address is redis://host:port/database")
    }
}

impl std::error::Error for InvalidAddress {}

pub(super) struct Shared {
    client: Client,
    prefix: Box<str>,
    lease: Duration,
    charges_lapsed: bool,
    clock: WallClock,
    scripts: Scripts,
    /// Of this process; ids of reservations begin with it.
    name: u64,
    reservations: AtomicU64,
    /// The server's clock less ours, in milliseconds.
    ahead: AtomicI64,
    /// Added to the server's clock, by tests.
    skew: AtomicI64,
    manager: Mutex<Option<ConnectionManager>>,
    queue: Queue,
}

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.queue.stop();
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.shared.prefix)
            .field("waiting", &self.shared.queue.len())
            .finish_non_exhaustive()
    }
}

/// A server that does not answer for so long is away.
const ANSWER: Duration = Duration::from_secs(1);

impl RedisStore {
    /// The store at an address such as `redis://127.0.0.1:6379/0`. No connection is made yet.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`].
    pub fn new(address: &str) -> Result<Self, InvalidAddress> {
        Ok(Self::of(Shared {
            client: Client::open(address).map_err(|_| InvalidAddress(()))?,
            prefix: "llm-budget".into(),
            lease: Duration::from_secs(60),
            charges_lapsed: true,
            clock: WallClock::default(),
            scripts: Scripts::new(),
            name: fastrand::u64(..),
            reservations: AtomicU64::new(0),
            ahead: AtomicI64::new(0),
            skew: AtomicI64::new(0),
            manager: Mutex::new(None),
            queue: Queue::default(),
        }))
    }

    fn of(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        Self {
            _owner: Arc::new(Owner(Arc::clone(&shared))),
            shared,
        }
    }

    /// Changes a store that is not in use yet; a clone is left as it is.
    fn with(self, change: impl FnOnce(&mut Shared)) -> Self {
        let Self { shared, _owner } = self;
        let old = &*shared;
        let mut new = Shared {
            client: old.client.clone(),
            prefix: old.prefix.clone(),
            lease: old.lease,
            charges_lapsed: old.charges_lapsed,
            clock: old.clock.clone(),
            scripts: Scripts::new(),
            name: fastrand::u64(..),
            reservations: AtomicU64::new(0),
            ahead: AtomicI64::new(0),
            skew: AtomicI64::new(old.skew.load(Relaxed)),
            manager: Mutex::new(None),
            queue: Queue::default(),
        };
        change(&mut new);
        Self::of(new)
    }

    /// With what the keys begin, and their hash tag. Default `llm-budget`. Budgets of different
    /// prefixes know nothing of each other.
    #[must_use]
    pub fn prefix(self, prefix: &str) -> Self {
        // a brace would be another tag
        let prefix = prefix.replace(['{', '}'], "_").into();
        self.with(|shared| shared.prefix = prefix)
    }

    /// How long a reservation outlives its process. Default 60 s. It is renewed every third of that,
    /// and once an hour at least, while the call lives; one that lapses is charged.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        let lease = lease.max(Duration::from_millis(30));
        self.with(|shared| shared.lease = lease)
    }

    /// Gives what was reserved by a process that died back, instead of charging it. What the call used
    /// is lost then.
    #[must_use]
    pub fn return_lapsed(self) -> Self {
        self.with(|shared| shared.charges_lapsed = false)
    }

    /// Waits until everything that has ended is booked.
    pub async fn flush(&self) {
        self.shared.queue.booked().await;
    }

    /// How many ended calls are not booked yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.queue.len()
    }

    /// Lets this client see the server's clock so much later. For tests.
    #[doc(hidden)]
    pub fn skew(&self, millis: i64) {
        self.shared.skew.store(millis, Relaxed);
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

impl Shared {
    /// The connection, and the worker beside it.
    fn connection(self: &Arc<Self>) -> Result<ConnectionManager, StoreError> {
        let mut manager = self.manager.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manager) = &*manager {
            return Ok(manager.clone());
        }
        let runtime =
            Handle::try_current().map_err(|_| StoreError::new("there is no tokio runtime"))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER))
            .set_number_of_retries(1)
            .set_max_delay(ANSWER);
        let new =
            ConnectionManager::new_lazy_with_config(self.client.clone(), config).map_err(away)?;
        runtime.spawn(worker::run(Arc::clone(self), new.clone()));
        *manager = Some(new.clone());
        Ok(new)
    }

    /// The server's time as far as it is known.
    fn now(&self) -> u64 {
        let ahead = self.ahead.load(Relaxed);
        millis(self.clock.now()).saturating_add_signed(ahead)
    }

    fn id(&self, number: u64) -> String {
        format!("{:016x}-{number}", self.name)
    }

    /// The server tells its time with each answer.
    fn server_is_at(&self, now: u64) {
        let ours = millis(self.clock.now());
        let ahead = i64::try_from(now).unwrap_or(0) - i64::try_from(ours).unwrap_or(0);
        self.ahead.store(ahead, Relaxed);
    }

    /// Runs a script, once more if our windows were not those of the server's clock.
    async fn run(
        &self,
        connection: &mut ConnectionManager,
        call: impl Fn(&Self) -> redis::ScriptInvocation<'_>,
    ) -> Result<Reply, StoreError> {
        for _ in 0..2 {
            let answer: redis::Value = call(self).invoke_async(connection).await.map_err(away)?;
            let reply = Reply::read(&answer).ok_or_else(|| StoreError::new("unreadable answer"))?;
            self.server_is_at(reply.now());
            if !matches!(reply, Reply::OtherClock { .. }) {
                return Ok(reply);
            }
        }
        Err(StoreError::new("the server's clock is not steady"))
    }
}

fn away(error: redis::RedisError) -> StoreError {
    // its text may quote arguments
    StoreError::new(match error.kind() {
        redis::ErrorKind::Io => "the server can't be reached or does not answer",
        redis::ErrorKind::Server(_) => "the server refused a script",
        redis::ErrorKind::AuthenticationFailed => "the server refused the password",
        _ => "the server's answer can't be used",
    })
}

/// Gives back what a call reserved of which nobody waits for the answer any more.
struct Unheard {
    shared: Arc<Shared>,
    asked: Option<(u64, Arc<[Claim]>)>,
}

impl Drop for Unheard {
    fn drop(&mut self) {
        if let Some((number, claims)) = self.asked.take() {
            let id = self.shared.id(number);
            self.shared
                .queue
                .push(Settlement::new(id, claims, Vec::new()));
        }
    }
}

impl Store for RedisStore {
    type Reservation = RedisReservation;
    type Reserve = BoxFuture<Reserved<RedisReservation>>;
    type Extend = BoxFuture<Reserved<()>>;
    type Read = BoxFuture<Vec<Standing>>;

    fn reserve(&self, claims: &[Claim]) -> Self::Reserve {
        let shared = Arc::clone(&self.shared);
        let claims: Arc<[Claim]> = claims.into();
        Box::pin(async move {
            let mut connection = shared.connection()?;
            let number = shared.reservations.fetch_add(1, Relaxed);
            let mut unheard = Unheard {
                shared: Arc::clone(&shared),
                asked: Some((number, Arc::clone(&claims))),
            };
            let reply = shared
                .run(&mut connection, |shared| {
                    shared.scripts.reserve(shared, &shared.id(number), &claims)
                })
                .await?;
            unheard.asked = None;
            match reply {
                Reply::Granted {
                    share, standings, ..
                } => {
                    shared.queue.begin(number, &claims);
                    Ok(Reserved::Granted(Grant {
                        reservation: RedisReservation { number, claims },
                        share,
                        standings,
                    }))
                }
                Reply::Refused {
                    index, standings, ..
                } => Ok(Reserved::Refused(Refused { index, standings })),
                _ => Err(StoreError::new("unexpected answer")),
            }
        })
    }

    fn extend(&self, reservation: &mut RedisReservation, claims: &[Claim]) -> Self::Extend {
        let shared = Arc::clone(&self.shared);
        let claims: Arc<[Claim]> = claims.into();
        let id = shared.id(reservation.number);
        Box::pin(async move {
            let mut connection = shared.connection()?;
            let reply = shared
                .run(&mut connection, |shared| {
                    shared.scripts.reserve(shared, &id, &claims)
                })
                .await?;
            match reply {
                Reply::Granted {
                    share, standings, ..
                } => Ok(Reserved::Granted(Grant {
                    reservation: (),
                    share,
                    standings,
                })),
                Reply::Refused {
                    index, standings, ..
                } => Ok(Reserved::Refused(Refused { index, standings })),
                _ => Err(StoreError::new("unexpected answer")),
            }
        })
    }

    fn settle(&self, reservation: RedisReservation, used: &[u64]) {
        let RedisReservation { number, claims } = reservation;
        let id = self.shared.id(number);
        self.shared.queue.end(number);
        self.shared
            .queue
            .push(Settlement::new(id, claims, used.into()));
    }

    fn charge(&self, claims: &[Claim]) {
        let number = self.shared.reservations.fetch_add(1, Relaxed);
        let used = claims.iter().map(|claim| claim.least).collect();
        let id = self.shared.id(number);
        self.shared
            .queue
            .charge(Settlement::new(id, claims.into(), used));
        // it may be the first that this store hears of; without a runtime it is booked later
        let _ = self.shared.connection();
    }

    fn read(&self, claims: &[Claim]) -> Self::Read {
        self.edited(claims.into(), None)
    }

    fn edit(&self, claim: &Claim, edit: Edit) -> Self::Read {
        self.edited([claim.clone()].into(), Some(edit))
    }
}

impl RedisStore {
    fn edited(&self, claims: Arc<[Claim]>, edit: Option<Edit>) -> BoxFuture<Vec<Standing>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let mut connection = shared.connection()?;
            let reply = shared
                .run(&mut connection, |shared| {
                    shared.scripts.edit(shared, edit, &claims)
                })
                .await?;
            match reply {
                Reply::Read { mut standings, .. } => {
                    standings
                        .iter_mut()
                        .for_each(|standing| standing.wait = None);
                    Ok(standings)
                }
                _ => Err(StoreError::new("unexpected answer")),
            }
        })
    }
}
