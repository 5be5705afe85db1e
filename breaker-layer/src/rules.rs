//! When a circuit opens and closes: the numbers, as the state machine takes them.

/// Nanoseconds since the layer was made.
pub(crate) type Nanos = u64;

pub(crate) const SECOND: Nanos = 1_000_000_000;

/// The calls that the rates are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Calls(u32),
    Time(Nanos),
}

/// Whose circuit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The app's key.
    Key,
    /// That, and the credential.
    Credential,
}

/// When calls go through though their circuit is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastResort {
    /// from more than so many hundredths of the keys on
    pub(crate) open_percent: u32,
    /// so many of a hundred calls
    pub(crate) share_percent: u32,
}

/// The numbers of one layer. None of the counts is zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// so many failures in a row
    pub(crate) in_a_row: Option<u32>,
    /// so many failures in a hundred calls of the span
    pub(crate) failure_percent: Option<u32>,
    /// so many slow calls in a hundred of the span
    pub(crate) slow_percent: Option<u32>,
    pub(crate) span: Span,
    /// fewer calls in the span say nothing about a rate
    pub(crate) min_calls: u32,

    pub(crate) open_for: Nanos,
    pub(crate) max_open: Nanos,
    /// up to so many hundredths longer, at random
    pub(crate) jitter_percent: u32,
    /// closed for so long, the next open period is `open_for` again
    pub(crate) healthy_after: Nanos,

    pub(crate) successes: u32,
    pub(crate) probes: u32,
    /// a probe that takes longer gives its slot back
    pub(crate) probe_limit: Nanos,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            in_a_row: Some(5),
            failure_percent: None,
            slow_percent: None,
            span: Span::Calls(100),
            min_calls: 20,
            open_for: 30 * SECOND,
            max_open: 300 * SECOND,
            jitter_percent: 10,
            healthy_after: 60 * SECOND,
            successes: 2,
            probes: 1,
            probe_limit: 60 * SECOND,
        }
    }
}

impl Rules {
    /// The longest open time, jitter apart: an app that sets a long first one means it.
    pub(crate) fn longest_open(&self) -> Nanos {
        self.max_open.max(self.open_for)
    }

    /// Whether the calls of the span have to be kept.
    pub(crate) const fn takes_rates(&self) -> bool {
        self.failure_percent.is_some() || self.slow_percent.is_some()
    }
}
