//! What is known over all circuits of a layer, and who is told of their changes.

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast::{self, error::RecvError};

use crate::{circuit::CircuitState, gate::Change, known::Known};

/// Changes that a subscriber may be behind.
const BACKLOG: usize = 256;

#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) known: Known,
    subscribers: broadcast::Sender<Transition>,
    #[cfg(feature = "metrics")]
    pub(crate) gauges: crate::gauges::Gauges,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self {
            known: Known::new(),
            subscribers: broadcast::Sender::new(BACKLOG),
            #[cfg(feature = "metrics")]
            gauges: crate::gauges::Gauges::default(),
        }
    }

    pub(crate) fn tell(&self, key: &Arc<str>, change: Change) {
        // an error means that nobody listens
        let _ = self.subscribers.send(Transition {
            key: Arc::clone(key),
            from: change.from,
            to: change.to,
            open_for: change.open_for.map(Duration::from_nanos),
        });
    }

    pub(crate) fn subscribe(&self) -> Transitions {
        Transitions {
            receiver: self.subscribers.subscribe(),
            missed: 0,
        }
    }
}

/// A circuit went from one state to another.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The circuit's key.
    pub key: Arc<str>,
    /// The state before.
    pub from: CircuitState,
    /// The state now.
    pub to: CircuitState,
    /// How long it will be open, if it is.
    pub open_for: Option<Duration>,
}

/// The changes of state of all circuits of a layer, from the moment of
/// [`subscribe`](crate::BreakerHandle::subscribe) on.
///
/// Those of one circuit come in their order. At most 256 are kept for a subscriber who does not come to
/// take them; beyond that the oldest are lost, [`missed`](Self::missed) counts them, and
/// [`circuits`](crate::BreakerHandle::circuits) shows how things stand.
#[derive(Debug)]
pub struct Transitions {
    receiver: broadcast::Receiver<Transition>,
    missed: u64,
}

impl Transitions {
    /// Waits for the next one. `None`: the layer, its services and handles are gone. Nothing is lost
    /// when the future is dropped.
    pub async fn next(&mut self) -> Option<Transition> {
        loop {
            match self.receiver.recv().await {
                Ok(transition) => return Some(transition),
                Err(RecvError::Lagged(lost)) => self.missed += lost,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many were lost so far because they were not taken in time.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}
