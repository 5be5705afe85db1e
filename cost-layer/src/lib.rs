//! What every LLM call cost and how long it took.

mod alert;
mod day;
mod entry;
mod latency;
mod ledger;
mod prices;
mod pricing;
mod tags;

pub use self::{
    alert::{Alert, AlertKind, Alerts, Whose},
    day::{Day, InvalidDay},
    entry::{Entry, InvalidRecordId, Record, RecordId},
    latency::{Latency, Quantiles, Timings, Window},
    ledger::{
        By, Ledger, LedgerError, LedgerFuture, MemoryLedger, Order, Overflow, Page, Query, Span,
        Spend,
    },
    prices::{Charge, InvalidPrices, PerMillion, Prices},
    pricing::{NotReplaced, Pricing},
    tags::Tags,
};

#[cfg(feature = "hdr")]
pub use self::latency::{InvalidLatencies, MergedLatency};

#[cfg(feature = "postgres")]
pub use self::ledger::PostgresLedger;
#[cfg(feature = "sqlite")]
pub use self::ledger::SqliteLedger;
