//! A flight as its readers see it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Payload};
use tower_service::Service;

use super::{Flight, Head, Seat, reader::Tap, tape::At};

impl<S, R> Flight<S, R>
where
    S: Service<Request<Payload>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
{
    /// Takes a seat for one more reader; of who begins the flight, or of who joins it.
    pub(crate) fn join(self: &Arc<Self>, leads: bool) -> Seat {
        let number = self.wakers.join();
        Seat::new(self.clone(), number, leads)
    }
}

impl<S, R> Tap for Flight<S, R>
where
    S: Service<Request<Payload>, Response = Response<R>> + Send,
    S::Future: Send,
    S::Error: Send,
    R: Body<Data = Bytes> + Unpin + Send,
    R::Error: Into<BoxError>,
{
    fn poll_at(&self, place: u64, seat: usize, cx: &mut Context<'_>) -> Poll<At> {
        let mut waits = false;
        loop {
            let at = self.told().tape.at(place);
            match at {
                At::Nothing => {}
                At::End(end) => {
                    self.wakers.no_longer(seat);
                    // nobody joins what has ended: the only reader is given the error itself
                    let alone = self.wakers.readers() == 1;
                    let own = if alone {
                        self.told().tape.take_end()
                    } else {
                        None
                    };
                    return Poll::Ready(At::End(own.unwrap_or(end)));
                }
                at => {
                    self.wakers.no_longer(seat);
                    return Poll::Ready(at);
                }
            }
            if !waits {
                self.wakers.wait(seat, cx.waker());
                waits = true;
            } else if self.drive(seat) {
                // its waker was taken, and there may be nothing new for it: an empty frame
                waits = false;
            } else {
                return Poll::Pending;
            }
        }
    }

    fn is_over_at(&self, place: u64) -> bool {
        self.told().tape.is_over_at(place)
    }

    fn length(&self) -> Option<u64> {
        match &self.told().head {
            Head::Known(known) => known.length,
            Head::Awaited | Head::Failed { .. } => None,
        }
    }

    fn leave(&self, seat: usize, leads: bool) {
        if leads {
            let mut told = self.told();
            told.leader_left = true;
            // nobody else takes it
            let failed = match &mut told.head {
                Head::Failed { failure, .. } => failure.take(),
                Head::Awaited | Head::Known(_) => None,
            };
            drop(told);
            drop(failed);
        }
        self.wakers.leave(seat);
    }
}
