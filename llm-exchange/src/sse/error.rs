use std::{error::Error, fmt};

/// A block was longer than [`Decoder::max_event_bytes`](super::Decoder::max_event_bytes) allows and
/// was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    limit: usize,
}

impl TooLarge {
    /// The error of a decoder with this limit, in bytes. Public so that a caller can make one in a
    /// test.
    pub const fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// The limit that was passed, in bytes.
    pub const fn limit(&self) -> usize {
        self.limit
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a server-sent event was longer than {} bytes",
            self.limit
        )
    }
}

impl Error for TooLarge {}
