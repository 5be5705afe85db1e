//! The end of all retrying, for a shutdown in order.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use tokio::sync::{Notify, futures::OwnedNotified};

/// Told once for a layer and everything made from it.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: AtomicBool,
    pauses: Arc<Notify>,
}

impl Stop {
    pub(crate) fn stop(&self) {
        self.stopped.store(true, SeqCst);
        self.pauses.notify_waiters();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }

    /// A pause that ends when the layer is stopped.
    pub(crate) fn pause(self: &Arc<Self>) -> Pause {
        Pause {
            stop: Arc::clone(self),
            told: Box::pin(Arc::clone(&self.pauses).notified_owned()),
        }
    }
}

/// Hears of the end from its making on, whenever it is polled first.
pub(crate) struct Pause {
    stop: Arc<Stop>,
    /// Boxed, as most calls have none and every call's future is moved.
    told: Pin<Box<OwnedNotified>>,
}

impl Pause {
    pub(crate) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // it may have come between the decision to wait and the making
        if self.stop.is_stopped() {
            return Poll::Ready(());
        }
        self.told.as_mut().poll(cx)
    }
}
