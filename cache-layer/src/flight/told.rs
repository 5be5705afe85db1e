//! What an upstream call has said so far.

use bytes::Bytes;
use http::{Extensions, HeaderMap, StatusCode, Version};
use llm_exchange::Meter;

use super::{Failure, tape::Tape};
use crate::NotKept;

/// What the upstream call has said so far.
pub(super) struct Told<E, R> {
    pub(super) head: Head<E, R>,
    pub(super) tape: Tape,
    /// Why there will not be all of the body at its end, if it was given up.
    pub(super) gave_up: Option<NotKept>,
    /// All of the body, after its end, if it is to be kept; the frames are parts of it then.
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

/// Called once, with an answer that came to its end: its head, and all of its body, or why that was given
/// up.
pub(crate) type OnEnd = Box<dyn FnOnce(&HeaderMap, &Meter, Result<Bytes, NotKept>) + Send>;
