//! The words that the layers share.

mod clock;
mod hints;
mod provider_error;
mod verdict;

pub use clock::WallClock;
pub use hints::{Delay, Hints};
pub use provider_error::ProviderError;
pub use verdict::Verdict;
