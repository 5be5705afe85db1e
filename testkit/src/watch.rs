//! What has become of a body.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use crate::lock;

/// Tells what has become of a [`ScriptedBody`](crate::ScriptedBody), wherever that body is now.
///
/// For the answers of a [`Script`](crate::Script) the watch begins with the call: until the head is
/// given, the body lives in the call's future, and dropping that future drops the body. A call that
/// fails as scripted has ended and is dropped.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    frames: usize,
    ended: bool,
    dropped_at: Option<Instant>,
}

impl Watch {
    /// Somebody still holds the body, or the future that will answer with it.
    pub fn is_alive(&self) -> bool {
        self.dropped_at().is_none()
    }

    /// The body was read to its end or its error, whether it is still held or not. With
    /// [`eager_end`](crate::ScriptedBody::eager_end) the last frame is the end.
    pub fn has_ended(&self) -> bool {
        lock(&self.0).ended
    }

    /// The body was dropped before its end.
    pub fn was_cut(&self) -> bool {
        let state = lock(&self.0);
        state.dropped_at.is_some() && !state.ended
    }

    /// When the body was dropped, by tokio's clock; `None` while it is alive.
    pub fn dropped_at(&self) -> Option<Instant> {
        lock(&self.0).dropped_at
    }

    /// How many frames were handed out; an error is not a frame.
    pub fn frames(&self) -> usize {
        lock(&self.0).frames
    }

    pub(crate) fn frame(&self) {
        lock(&self.0).frames += 1;
    }

    pub(crate) fn end(&self) {
        lock(&self.0).ended = true;
    }

    pub(crate) fn drop_now(&self) {
        lock(&self.0).dropped_at = Some(Instant::now());
    }
}
