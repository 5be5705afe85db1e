mod account;
mod admission;
mod store;
mod sync;
mod window;
pub use store::{*, memory::*};
pub use window::*;
