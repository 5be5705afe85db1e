//! How long to wait for what.

use std::time::Duration;

/// The settings of a [`StreamTimeoutLayer`](crate::StreamTimeoutLayer) for one model.
#[derive(Clone, Debug)]
pub(crate) struct Timeouts {
    pub(crate) headers: Option<Duration>,
    pub(crate) first_event: Option<Duration>,
    pub(crate) first_content: Option<Duration>,
    pub(crate) silence: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) total: Option<Duration>,
    pub(crate) throughput: Option<Throughput>,
    /// The same text so many times in a row ends the answer.
    pub(crate) repeats: Option<u64>,
}

/// At least so many tokens in each window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throughput {
    pub(crate) tokens: u64,
    pub(crate) window: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            headers: None,
            first_event: None,
            first_content: None,
            silence: Some(Duration::from_secs(300)),
            idle: None,
            total: None,
            throughput: None,
            repeats: None,
        }
    }
}

impl Timeouts {
    /// Whether anything but the silence depends on how long was waited in all.
    pub(crate) const fn counts_waiting(&self) -> bool {
        self.headers.is_some()
            || self.first_event.is_some()
            || self.first_content.is_some()
            || self.idle.is_some()
            || self.total.is_some()
            || self.throughput.is_some()
    }
}

/// Which clock of a [`StreamTimeoutLayer`](crate::StreamTimeoutLayer) ran out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// No response head in time.
    Headers,
    /// No event in time.
    FirstEvent,
    /// No content in time.
    FirstContent,
    /// No byte of any kind for so long.
    Silence,
    /// No content for so long after the one before.
    Idle,
    /// The answer as a whole took too long.
    Total,
    /// Too few tokens in a window of time.
    Throughput,
}

impl Clock {
    /// The name in `snake_case`, for labels: `first_content`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::FirstEvent => "first_event",
            Self::FirstContent => "first_content",
            Self::Silence => "silence",
            Self::Idle => "idle",
            Self::Total => "total",
            Self::Throughput => "throughput",
        }
    }
}
