//! What every LLM call cost and how long it took.

mod day;
mod prices;
mod pricing;

pub use self::{
    day::{Day, InvalidDay},
    prices::{Charge, InvalidPrices, PerMillion, Prices},
    pricing::{NotReplaced, Pricing},
};
