//! Waiting for a probe's slot, by setting.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::Request;
use llm_exchange::{Attempts, Payload};
use tokio::time::{Instant, sleep_until};

use crate::{
    circuit::Refused,
    entry::Entry,
    guard::{Guard, Turned},
    settings::Waiting,
    shared::Shared,
};

/// Boxed: only a call that waits is one of these.
pub(crate) type Wait = Pin<Box<dyn Future<Output = Result<Guard, Turned>> + Send>>;

/// Waits if the app allows it, and if it is of use.
pub(crate) fn wait(
    shared: &Arc<Shared>,
    mut turned: Turned,
    request: &Request<Payload>,
    attempts: &Attempts,
) -> Result<Wait, Turned> {
    let Some(Waiting { at_most, waiters }) = shared.core.settings.waiting else {
        return Err(turned);
    };
    let own = Instant::now().checked_add(at_most);
    let until = [own, attempts.deadline()].into_iter().flatten().min();
    if !is_of_use(&turned.refused, until) {
        return Err(turned);
    }
    let Some(place) = Place::take(turned.entry(), waiters) else {
        return Err(turned);
    };
    turned.seat.read_credential(shared, request);
    let shared = Arc::clone(shared);
    Ok(Box::pin(async move {
        let _place = place;
        let mut turned = turned;
        loop {
            // listens before it asks: a slot that is given back in between is not missed
            let entry = Arc::clone(turned.entry());
            let mut moved = pin!(entry.moved.notified());
            moved.as_mut().enable();
            turned = match turned.seat.admit(&shared) {
                Ok(guard) => return Ok(guard),
                Err(turned) if !is_of_use(&turned.refused, until) => return Err(turned),
                Err(turned) => turned,
            };
            if !Arc::ptr_eq(&entry, turned.entry()) {
                // another circuit refuses now: listen to that one
                continue;
            }
            let next = Instant::now().checked_add(in_which(turned.refused));
            let wake = [next, until].into_iter().flatten().min();
            // without either, a move alone can help
            let mut sleep = pin!(wake.map(sleep_until));
            poll_fn(|cx| {
                let slept = sleep.as_mut().as_pin_mut();
                if slept.is_some_and(|sleep| sleep.poll(cx).is_ready()) {
                    return Poll::Ready(());
                }
                moved.as_mut().poll(cx)
            })
            .await;
        }
    }))
}

/// Whether the call could be admitted before its time is up.
fn is_of_use(refused: &Refused, until: Option<Instant>) -> bool {
    let now = Instant::now();
    let left = until.map(|until| until.saturating_duration_since(now));
    match refused {
        Refused::Forced => false,
        Refused::For(nanos) => left.is_none_or(|left| Duration::from_nanos(*nanos) < left),
        Refused::Probing(_) => left.is_none_or(|left| !left.is_zero()),
    }
}

fn in_which(refused: Refused) -> Duration {
    match refused {
        Refused::For(nanos) | Refused::Probing(nanos) => Duration::from_nanos(nanos),
        Refused::Forced => Duration::MAX,
    }
}

/// One of the bounded number of places in which calls wait; given back when dropped.
struct Place(Arc<Entry>);

impl Place {
    fn take(entry: &Arc<Entry>, most: usize) -> Option<Self> {
        let taken = entry.places.take(most);
        taken.then(|| Self(Arc::clone(entry)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.give_back();
    }
}
