//! The words that the layers share.

mod clock;
mod hints;
mod provider_error;

pub use clock::WallClock;
pub use hints::{Delay, Hints};
pub use provider_error::ProviderError;
