//! Waiting for a store, as long as a call may.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::{Sleep, sleep};

use super::{GuardedReservation, Kept, Shared, away, circuit::Leave};
use crate::store::{Claim, Grant, Reserved, Share, Standing, Store, StoreError};

/// What was asked of the store, and the clock that runs meanwhile.
pub(super) struct Asking<S: Store, F> {
    shared: Arc<Shared<S>>,
    /// `None`: the store is not asked.
    asked: Option<(F, Leave)>,
    /// Begins when the store has not answered at once.
    clock: Option<Pin<Box<Sleep>>>,
}

impl<S: Store, F, T> Asking<S, F>
where
    F: Future<Output = Result<T, StoreError>> + Unpin,
{
    pub(super) fn new(
        shared: &Arc<Shared<S>>,
        leave: Option<Leave>,
        ask: impl FnOnce(&S) -> F,
    ) -> Self {
        Self {
            asked: leave.map(|leave| (ask(&shared.store), leave)),
            shared: Arc::clone(shared),
            clock: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, StoreError>> {
        let Some((asked, leave)) = &mut self.asked else {
            return Poll::Ready(Err(away()));
        };
        let leave = *leave;
        let answer = match Pin::new(asked).poll(cx) {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                let wait = self.shared.wait;
                let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(wait)));
                ready!(clock.as_mut().poll(cx));
                Err(StoreError::new("the store does not answer in time"))
            }
        };
        // what was asked of it is given back
        self.asked = None;
        match &answer {
            Err(error) if !error.is_full() => self.shared.failed(leave),
            _ => self.shared.answered(leave),
        }
        Poll::Ready(answer)
    }
}

impl<S: Store, F> Drop for Asking<S, F> {
    fn drop(&mut self) {
        if let Some((_, leave)) = self.asked {
            self.shared.circuit.gave_up(leave);
        }
    }
}

/// The future of [`Guarded::reserve`](Store::reserve).
pub struct Reserve<S: Store> {
    pub(super) asking: Asking<S, S::Reserve>,
    /// Where calls are admitted without the store.
    pub(super) claims: Option<Arc<[Claim]>>,
}

impl<S: Store> Future for Reserve<S> {
    type Output = Result<Reserved<GuardedReservation<S>>, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let answer = ready!(this.asking.poll(cx));
        Poll::Ready(match (answer, &this.claims) {
            (Ok(reserved), _) => Ok(map(reserved, |own| GuardedReservation(Kept::InStore(own)))),
            (Err(_), Some(claims)) => this.asking.shared.admit(claims).map(|reserved| {
                let claims = Arc::clone(claims);
                map(reserved, |own| {
                    GuardedReservation(Kept::Here { own, claims })
                })
            }),
            (Err(error), None) => Err(error),
        })
    }
}

fn map<T, U>(reserved: Reserved<T>, change: impl FnOnce(T) -> U) -> Reserved<U> {
    match reserved {
        Reserved::Granted(grant) => Reserved::Granted(Grant {
            reservation: change(grant.reservation),
            share: grant.share,
            standings: grant.standings,
        }),
        Reserved::Refused(refused) => Reserved::Refused(refused),
    }
}

/// The future of [`Guarded::extend`](Store::extend).
pub struct Extend<S: Store>(pub(super) Extending<S>);

pub(super) enum Extending<S: Store> {
    InStore {
        asking: Asking<S, S::Extend>,
        /// Where calls are admitted without the store: as many standings as there are claims.
        admit: Option<Vec<Standing>>,
    },
    Here(Option<Result<Reserved<()>, StoreError>>),
}

impl<S: Store> Future for Extend<S> {
    type Output = Result<Reserved<()>, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Extending::Here(reserved) => {
                Poll::Ready(reserved.take().unwrap_or_else(|| Err(away())))
            }
            Extending::InStore { asking, admit } => {
                let answer = ready!(asking.poll(cx));
                Poll::Ready(match (answer, admit.take()) {
                    // all of what it used is charged when it ends, whatever was reserved
                    (Err(_), Some(standings)) => Ok(Reserved::Granted(Grant {
                        reservation: (),
                        share: Share::WHOLE,
                        standings,
                    })),
                    (answer, _) => answer,
                })
            }
        }
    }
}

/// The future of [`Guarded::read`](Store::read) and [`Guarded::edit`](Store::edit).
pub struct Read<S: Store>(pub(super) Asking<S, S::Read>);

impl<S: Store> Future for Read<S> {
    type Output = Result<Vec<Standing>, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.poll(cx)
    }
}

macro_rules! opaque {
    ($($name:ident)*) => {$(
        impl<S: Store> fmt::Debug for $name<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

opaque!(Reserve Extend Read);
