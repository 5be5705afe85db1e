//! Something to hear when there is nothing to say.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Tells when it was quiet for so long.
pub(crate) struct Quiet {
    every: Option<Duration>,
    /// Since when nothing was handed on while more was asked for.
    since: Option<Instant>,
    /// Armed lazily. Boxed, so that the body is `Unpin`.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Quiet {
    /// No time at all is never.
    pub(crate) const fn new(every: Option<Duration>) -> Self {
        Self {
            every: match every {
                Some(every) if !every.is_zero() => Some(every),
                _ => None,
            },
            since: None,
            timer: None,
        }
    }

    /// Something was handed on.
    #[inline]
    pub(crate) fn said(&mut self) {
        self.since = None;
    }

    /// There is nothing to hand on: ready when a comment is due.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(every) = self.every else {
            return Poll::Pending;
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        // a time beyond the end of time never comes
        let Some(due) = since.checked_add(every) else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        while timer.deadline() < due {
            timer.as_mut().reset(due);
            ready!(timer.as_mut().poll(cx));
        }
        // a reader who paused is owed one for all of the pause
        self.since = Some(due.max(Instant::now()));
        Poll::Ready(())
    }
}
