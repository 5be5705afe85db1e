//! How much is read ahead.

use std::time::Duration;

/// How much of an answer is read before it is handed on.
#[derive(Clone, Copy, Debug)]
pub struct PeekLimits {
    pub(super) max_bytes: u64,
    pub(super) max_events: u32,
    pub(super) commit_after: Duration,
}

impl Default for PeekLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 10,
            max_events: 256,
            commit_after: Duration::from_secs(15),
        }
    }
}

impl PeekLimits {
    /// The most bytes of an error's body, or of a stream's events before its first content.
    /// Default 64 KiB; a frame that crosses the limit is held whole.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The most events of a stream before its first content. Default 256.
    #[must_use]
    pub const fn max_events(mut self, events: u32) -> Self {
        self.max_events = events;
        self
    }

    /// How long after its head an answer is held back at most. Default 15 s: then what was read is
    /// handed on, so that a long thinking pause with its pings reaches the caller.
    #[must_use]
    pub const fn commit_after(mut self, after: Duration) -> Self {
        self.commit_after = after;
        self
    }
}
