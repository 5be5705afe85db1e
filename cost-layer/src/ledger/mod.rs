//! Where records are kept.

mod fields;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod row;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod worker;
mod writer;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use llm_exchange::BoxError;

#[cfg(feature = "postgres")]
pub use self::postgres::PostgresLedger;
#[cfg(fuzzing)]
pub(crate) use self::row::entry;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteLedger;
pub use self::{
    memory::MemoryLedger,
    query::{By, Order, Page, Query, Slot, Span, Spend, Timeline},
    writer::Overflow,
};
pub(crate) use self::{
    row::{COLUMNS, Value, row},
    writer::{BATCH, Place, Writer, WriterLimits},
};
use crate::{Entry, Record};

/// What a ledger's methods return: boxed, as they are called once for many records, never by a call.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// So long may a question to a ledger of tables take, unless it is told otherwise.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const LONGEST_READ: std::time::Duration = std::time::Duration::from_secs(10);

/// Keeps records, and answers what they come to.
///
/// Its answers are bounded: [`Query::MOST`] sums, [`Page::MOST`] entries. Those of the crate's own ledgers are
/// bounded in time too, as nobody waits for a report for ever and the next one waits behind it.
///
/// The layer appends from one task, in batches, and sends a batch again if that failed: an entry that is
/// there already, by its id and part, is left as it is.
pub trait Ledger: Send + Sync + 'static {
    /// Keeps all of these records or none of them.
    fn append<'a>(&'a self, records: &'a [Arc<Record>]) -> LedgerFuture<'a, ()>;

    /// Sums of what was spent, the largest first.
    fn spend<'a>(&'a self, query: &'a Query) -> LedgerFuture<'a, Vec<Spend>>;

    /// One page of the entries themselves.
    fn entries<'a>(&'a self, page: &'a Page) -> LedgerFuture<'a, Vec<Entry>>;

    /// What was spent over time, the earliest first. Alerts begin with it after a restart; of a ledger
    /// that does not answer it they begin at zero, as they do by default.
    fn timeline<'a>(&'a self, timeline: &'a Timeline) -> LedgerFuture<'a, Vec<Slot>> {
        let _ = timeline;
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

/// A ledger did not do what it was asked for.
#[derive(Debug)]
pub struct LedgerError {
    source: BoxError,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Temporary,
    TimedOut,
    Permanent,
}

impl LedgerError {
    fn new(kind: Kind, source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into(),
            kind,
        }
    }

    /// It may work later: the ledger is away, or busy.
    #[must_use]
    pub fn temporary(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Temporary, source)
    }

    /// It took longer than it may, and was stopped.
    #[must_use]
    pub fn timed_out(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::TimedOut, source)
    }

    /// It will never work: what was asked for is wrong, as data that breaks a rule of the tables. Records
    /// that are refused so are lost, and counted; all others wait, and are sent again.
    #[must_use]
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Permanent, source)
    }

    /// Whether asking again is no use.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.kind == Kind::Permanent
    }

    /// Whether it took longer than it may.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        self.kind == Kind::TimedOut
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Temporary => "the ledger is not there",
            Kind::TimedOut => "the ledger took too long",
            Kind::Permanent => "the ledger refused",
        })
    }
}

impl std::error::Error for LedgerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
