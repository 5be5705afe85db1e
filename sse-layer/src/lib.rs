//! Clocks.

mod tell;
mod timeout;
mod whole;

pub use self::timeout::{
    Clock, StreamTimeout, StreamTimeoutBody, StreamTimeoutFuture, StreamTimeoutLayer,
};
