use std::time::Duration;

use llm_exchange::{PeekLimits, WallClock};

/// What the setters of the layer set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_wait: Duration,
    pub(crate) max_waiters: usize,
    pub(crate) max_hold: Duration,
    pub(crate) max_keys: usize,
    pub(crate) max_payload_bytes: usize,
    pub(crate) peek: PeekLimits,
    pub(crate) clock: WallClock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_secs(10),
            max_waiters: 1_000,
            max_hold: Duration::from_secs(3_600),
            max_keys: 4_096,
            max_payload_bytes: 16 << 20,
            peek: PeekLimits::default(),
            clock: WallClock::default(),
        }
    }
}
