//! What every LLM call cost and how long it took.

mod alert;
mod day;
mod entry;
mod latency;
mod prices;
mod pricing;
mod tags;

pub use self::{
    alert::{Alert, AlertKind, Alerts, Whose},
    day::{Day, InvalidDay},
    entry::{Entry, InvalidRecordId, Record, RecordId},
    latency::{Latency, Quantiles, Timings, Window},
    prices::{Charge, InvalidPrices, PerMillion, Prices},
    pricing::{NotReplaced, Pricing},
    tags::Tags,
};

#[cfg(feature = "hdr")]
pub use self::latency::{InvalidLatencies, MergedLatency};
