mod account;
mod admission;
pub mod store;
mod sync;
mod window;
pub use window::{Period, UnknownZone, Window, Zone};
