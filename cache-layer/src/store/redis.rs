//! Entries on a Redis server, shared by every process that knows the secret.

mod wire;
mod writer;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{
    Client,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::{Instant, timeout};

pub use self::wire::Generations;
#[cfg(fuzzing)]
pub(crate) use self::wire::fuzz;
use self::writer::Writer;
use super::{Found, GetAll, NotRemoved, Put, Remove, Removing, Store, StoreSize, Wanted};
use crate::{Entry, Key, Tag, key::Secret};

/// Entries on a Redis server.
///
/// Every process that is given the same secret finds the others' entries. Their names are keyed hashes;
/// their content is compressed (LZ4) and sealed with the secret, so that what was changed or is another
/// key's is not there. It is not encrypted: who reads the server's memory reads answers.
///
/// A lookup is one round trip, of a batch of texts too. One that takes longer than its timeout
/// ([`with`](Self::with), for each 128 texts) is a miss, and after a failed one nothing is asked for a second. Writes go through a queue (4,096 entries and 64 MiB at most; what doesn't fit
/// is not stored) to **one spawned task**, which ends with the last clone of the store.
///
/// Removals by model, credential or user, and of all, are one write each, whatever the number of
/// entries: a lookup compares. A removal of one key does not stop an answer that is on its way.
///
/// Keep the server from evicting what starts with the prefix and `g`: its removals. With an eviction
/// policy of `volatile-…` it does, as those names have a time of a week. No entry is kept for longer, whatever its time.
#[derive(Clone)]
pub struct RedisStore(Arc<Remote>);

struct Remote {
    connection: ConnectionManager,
    secret_text: Box<[u8]>,
    secret: Secret,
    prefix: String,
    timeout: Duration,
    began: Instant,
    /// Until when nothing is asked, in milliseconds since `began`.
    down_until: AtomicU64,
    writer: Writer,
}

/// Why there can be no such store.
#[derive(Debug)]
pub struct InvalidRedis(String);

impl fmt::Display for InvalidRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidRedis {}

/// How many entries a lookup takes its timeout for; twice as many may take twice as long.
const WITHIN_ONE_TIMEOUT: usize = 128;
/// How long nothing is asked of a server that did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a removal is remembered, and an entry kept at most.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

impl RedisStore {
    /// A store on the server at this address (`redis://host:port/db`), for all who know this secret,
    /// with a timeout of 50 ms. It connects when it is first used, and again when it has to.
    ///
    /// To be called within a tokio runtime, where its task runs.
    ///
    /// # Errors
    ///
    /// The address is none, the secret is shorter than 16 bytes, or there is no runtime.
    pub fn new(url: &str, secret: &[u8]) -> Result<Self, InvalidRedis> {
        Self::with(url, secret, "llm-cache:", Duration::from_millis(50))
    }

    /// The same, with names that start with `prefix`, and lookups that take at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with(
        url: &str,
        secret: &[u8],
        prefix: &str,
        timeout: Duration,
    ) -> Result<Self, InvalidRedis> {
        let invalid = |why: &str| InvalidRedis(why.to_owned());
        if secret.len() < 16 {
            return Err(invalid("the secret has fewer than 16 bytes"));
        }
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| invalid("a Redis store is made within a tokio runtime"))?;
        // the error of the library might show the address, which has a password in it
        let client =
            Client::open(url).map_err(|_| invalid("the address is no redis:// address"))?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(WRITE_TIMEOUT))
            .set_connection_timeout(Some(WRITE_TIMEOUT))
            .set_number_of_retries(1)
            .set_max_delay(PAUSE);
        let connection = ConnectionManager::new_lazy_with_config(client, config)
            .map_err(|_| invalid("the connection can't be made"))?;
        let seal = Secret::of(secret);
        let (writer, work) = Writer::new(connection.clone(), seal.clone(), prefix.to_owned());
        runtime.spawn(work);
        Ok(Self(Arc::new(Remote {
            connection,
            secret_text: secret.into(),
            secret: seal,
            prefix: prefix.to_owned(),
            timeout,
            began: Instant::now(),
            down_until: AtomicU64::new(0),
            writer,
        })))
    }
}

/// A write may take longer than a lookup: nobody waits for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

impl Remote {
    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_down(&self) -> bool {
        self.millis() < self.down_until.load(Relaxed)
    }

    fn went_down(&self) {
        let pause = PAUSE.as_millis() as u64;
        self.down_until
            .store(self.millis().saturating_add(pause), Relaxed);
        tracing::warn!("the cache's Redis server does not answer; nothing is asked of it for 1 s");
    }

    /// Entries, which belong to the same, and the removals of those: in one round trip.
    async fn get(&self, wanted: &[Wanted]) -> Vec<Found<Option<Generations>>> {
        let Some(first) = wanted.first() else {
            return Vec::new();
        };
        let mut ask = redis::cmd("MGET");
        ask.arg(all_name(&self.prefix));
        for tag in [first.tags.model, first.tags.credential, first.tags.user] {
            ask.arg(tag_name(&self.prefix, tag.unwrap_or(Tag(0))));
        }
        for wanted in wanted {
            ask.arg(entry_name(&self.prefix, &wanted.key));
        }
        let bound = self.timeout.saturating_mul(
            u32::try_from(wanted.len().div_ceil(WITHIN_ONE_TIMEOUT)).unwrap_or(u32::MAX),
        );
        let mut connection = self.connection.clone();
        let asked = timeout(bound, ask.query_async(&mut connection)).await;
        let answer: Vec<Option<Vec<u8>>> = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => {
                self.went_down();
                return Vec::new();
            }
        };
        let mut answer = answer.into_iter();
        let ticket = Generations::read(&mut answer);
        let found = wanted.iter().map(|wanted| {
            let packed = answer.next().flatten();
            let entry =
                packed.and_then(|packed| wire::unpack(&self.secret, &wanted.key, &packed, ticket));
            Found {
                entry: entry.map(Arc::new),
                ticket: Some(ticket),
            }
        });
        found.collect()
    }

    async fn remove(&self, what: Remove) -> Result<(), NotRemoved> {
        let mut command;
        match what {
            Remove::Key(key) => {
                command = redis::cmd("DEL");
                command.arg(entry_name(&self.prefix, &key));
            }
            Remove::Tag(_) | Remove::All => {
                command = redis::cmd("SET");
                let name = match what {
                    Remove::Tag(tag) => tag_name(&self.prefix, tag),
                    _ => all_name(&self.prefix),
                };
                let generation = fastrand::u64(1..).to_le_bytes();
                command.arg(name).arg(&generation[..]);
                command.arg("EX").arg(REMEMBERED.as_secs());
            }
        }
        let mut connection = self.connection.clone();
        let removed = timeout(WRITE_TIMEOUT, command.query_async::<()>(&mut connection)).await;
        removed.ok().and_then(Result::ok).ok_or(NotRemoved(()))
    }
}

fn entry_name(prefix: &str, key: &Key) -> String {
    format!("{prefix}{key}")
}

fn all_name(prefix: &str) -> String {
    format!("{prefix}g")
}

fn tag_name(prefix: &str, tag: Tag) -> String {
    format!("{prefix}g{:016x}", tag.0)
}

impl Store for RedisStore {
    type Get = Pin<Box<dyn Future<Output = Found<Self::Ticket>> + Send>>;
    type Ticket = Option<Generations>;

    fn get(&self, wanted: &Wanted) -> Self::Get {
        if self.0.is_down() {
            return Box::pin(std::future::ready(Found::default()));
        }
        let (remote, wanted) = (Arc::clone(&self.0), *wanted);
        Box::pin(async move { remote.get(&[wanted]).await.pop().unwrap_or_default() })
    }

    fn get_all(&self, wanted: &[Wanted]) -> GetAll<Self::Ticket> {
        if self.0.is_down() {
            return Box::pin(std::future::ready(Vec::new()));
        }
        let (remote, wanted) = (Arc::clone(&self.0), wanted.to_vec());
        Box::pin(async move { remote.get(&wanted).await })
    }

    fn has_answered(&self, ticket: &Self::Ticket) -> bool {
        ticket.is_some()
    }

    fn put(&self, wanted: &Wanted, entry: Arc<Entry>, ticket: Self::Ticket) -> Put {
        // without a lookup nothing is known of removals
        let Some(ticket) = ticket.filter(|_| !self.0.is_down()) else {
            return Put::Busy;
        };
        self.0.writer.write(wanted.key, entry, ticket)
    }

    fn remove(&self, what: Remove) -> Removing {
        let remote = Arc::clone(&self.0);
        Box::pin(async move { remote.remove(what).await })
    }

    fn size(&self) -> StoreSize {
        StoreSize::default()
    }

    fn secret(&self) -> Option<&[u8]> {
        Some(&self.0.secret_text)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("timeout", &self.0.timeout)
            .field("is_down", &self.0.is_down())
            .finish_non_exhaustive()
    }
}
