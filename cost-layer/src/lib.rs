//! What every LLM call cost and how long it took.

mod day;
mod latency;
mod prices;
mod pricing;

pub use self::{
    day::{Day, InvalidDay},
    latency::{Latency, Quantiles, Timings, Window},
    prices::{Charge, InvalidPrices, PerMillion, Prices},
    pricing::{NotReplaced, Pricing},
};

#[cfg(feature = "hdr")]
pub use self::latency::{InvalidLatencies, MergedLatency};
