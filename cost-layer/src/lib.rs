//! [guide]: crate::guide
//! [one_layer]: https://docs.rs/crate/cost-layer/latest/source/examples/one_layer.rs
#![cfg_attr(docsrs, doc = include_str!("on_docs_rs.md"))]
//! [sse-layer]: ../sse_layer/index.html
//! [cache-layer]: ../cache_layer/index.html
//! [budget-layer]: ../budget_layer/index.html
//! [fallback-layer]: ../fallback_layer/index.html
//! [retry-layer]: ../retry_layer/index.html
//! [breaker-layer]: ../breaker_layer/index.html
//! [llm-translate]: ../llm_translate/index.html
//! [llm-exchange]: llm_exchange
//!
#![doc = include_str!("../README.md")]

mod alert;
mod books;
mod day;
mod desk;
mod entry;
mod export;
mod future;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod guide;
mod handle;
mod latency;
mod layer;
mod ledger;
#[cfg(feature = "metrics")]
pub mod metrics;
mod names;
mod open;
mod prices;
mod pricing;
mod service;
mod settle;
mod stripes;
mod tags;
mod used;

// what a caller of this crate names, so that it needs no other
pub use llm_exchange::{Money, User};

pub use self::{
    alert::{Alert, AlertKind, Alerts, Whose},
    books::CostStats,
    day::{Day, InvalidDay},
    entry::{Entry, InvalidRecordId, Record, RecordId},
    export::{ExportError, Format},
    future::CostFuture,
    handle::CostHandle,
    latency::{Latency, Quantiles, Timings, Window},
    layer::CostLayer,
    ledger::{
        By, Ledger, LedgerError, LedgerFuture, MemoryLedger, Order, Overflow, Page, Query, Slot,
        Span, Spend, Timeline,
    },
    open::Booked,
    prices::{Charge, InvalidPrices, PerMillion, Prices},
    pricing::{NotReplaced, Pricing},
    service::{Cost, CostBody},
    settle::Settle,
    tags::Tags,
};

#[cfg(feature = "hdr")]
pub use self::latency::{InvalidLatencies, MergedLatency};
#[cfg(feature = "postgres")]
pub use self::ledger::PostgresLedger;
#[cfg(feature = "sqlite")]
pub use self::ledger::SqliteLedger;
