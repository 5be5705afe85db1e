//! How long calls take.

#[cfg(feature = "hdr")]
mod export;
#[cfg(feature = "hdr")]
mod foreign;
mod recorder;
mod series;
mod slices;

#[cfg(feature = "hdr")]
pub(crate) use self::export::export;
#[cfg(feature = "hdr")]
pub use self::export::{InvalidLatencies, MergedLatency};
pub(crate) use self::{
    recorder::{Recorder, TooSlow},
    series::{Outcome, Sample},
};
pub use self::{
    series::{Latency, Quantiles, Timings},
    slices::Window,
};

#[cfg(test)]
mod tests;
