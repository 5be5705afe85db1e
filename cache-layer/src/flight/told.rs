//! What an upstream call has said so far.

use bytes::Bytes;
use http::{Extensions, HeaderMap, StatusCode, Version};
use llm_exchange::Meter;

use super::{Failure, tape::Tape};

/// What the upstream call has said so far.
pub(super) struct Told<E, R> {
    pub(super) head: Head<E, R>,
    pub(super) tape: Tape,
    /// All of the body, after its end.
    pub(super) whole: Option<Bytes>,
    /// Who began it has left.
    pub(super) leader_left: bool,
    pub(super) on_end: Option<OnEnd>,
}

pub(super) enum Head<E, R> {
    Awaited,
    Known(Box<Known>),
    Failed {
        /// Taken by who began it.
        failure: Option<Failure<E, R>>,
        outage: bool,
    },
}

/// The head of an answer that is shared.
pub(super) struct Known {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) meter: Meter,
    /// For who began the call.
    pub(super) extensions: Option<Extensions>,
    pub(super) length: Option<u64>,
}

/// Called once, with an answer that came to its end: its head, and all of its body, or `None` where
/// that was too large to be kept.
pub(crate) type OnEnd = Box<dyn FnOnce(&HeaderMap, &Meter, Option<Bytes>) + Send>;
