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
mod writer;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use llm_exchange::BoxError;

#[cfg(feature = "postgres")]
pub use self::postgres::PostgresLedger;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteLedger;
pub use self::{
    memory::MemoryLedger,
    query::{By, Order, Page, Query, Span, Spend},
    writer::Overflow,
};
pub(crate) use self::{
    row::{COLUMNS, Value, row},
    writer::{BATCH, Place, Writer, WriterLimits},
};
use crate::{Entry, Record};

/// What a ledger's methods return: boxed, as they are called once for many records, never by a call.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Keeps records, and answers what they come to.
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
}

/// A ledger did not do what it was asked for.
#[derive(Debug)]
pub struct LedgerError {
    source: BoxError,
    is_permanent: bool,
}

impl LedgerError {
    /// It may work later: the ledger is away, or busy.
    #[must_use]
    pub fn temporary(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into(),
            is_permanent: false,
        }
    }

    /// It will never work: what was asked for is wrong, as data that breaks a rule of the tables. Records
    /// that are refused so are lost, and counted; all others wait, and are sent again.
    #[must_use]
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into(),
            is_permanent: true,
        }
    }

    /// Whether asking again is no use.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.is_permanent
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_permanent {
            "the ledger refused"
        } else {
            "the ledger is not there"
        })
    }
}

impl std::error::Error for LedgerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
