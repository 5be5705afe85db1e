mod account;
mod admission;
pub mod quota;
pub mod store;
mod sync;
pub mod tokens;
mod window;
pub use window::{Period, UnknownZone, Window, Zone};
