use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{Found, Put, Remove, Removing, Store, StoreSize, Wanted};
use crate::Entry;

/// Two stores, the nearer one before the farther: what is found in the farther is kept in the nearer
/// too.
///
/// A removal reaches the nearer store of this process only; those of other processes serve what they
/// have until its time is over. Give the nearer one little to lose: a short `ttl`, or few bytes.
#[derive(Clone, Debug)]
pub struct Tiered<N, F> {
    near: N,
    far: F,
}

impl<N, F> Tiered<N, F> {
    /// This store before that one.
    pub const fn new(near: N, far: F) -> Self {
        Self { near, far }
    }
}

/// The future of a lookup in two stores.
pub struct GetTiered<N: Store, F: Store> {
    wanted: Wanted,
    stores: Tiered<N, F>,
    state: State<N, F>,
}

enum State<N: Store, F: Store> {
    Near(N::Get),
    /// With what the nearer store found.
    Far(F::Get, Found<N::Ticket>),
}

impl<N: Store, F: Store> Future for GetTiered<N, F> {
    type Output = Found<(N::Ticket, F::Ticket)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Near(near) => {
                    let found = ready!(Pin::new(near).poll(cx));
                    let now = this.wanted.now;
                    if let Some(entry) = &found.entry
                        && entry.age(now) < entry.ttl()
                    {
                        let ticket = (found.ticket, F::Ticket::default());
                        return Poll::Ready(Found {
                            entry: found.entry,
                            ticket,
                        });
                    }
                    // another process may have a newer one
                    this.state = State::Far(this.stores.far.get(&this.wanted), found);
                }
                State::Far(far, near) => {
                    let found = ready!(Pin::new(far).poll(cx));
                    let ticket = near.ticket.clone();
                    if let Some(entry) = &found.entry {
                        let entry = Arc::clone(entry);
                        this.stores.near.put(&this.wanted, entry, ticket.clone());
                    }
                    return Poll::Ready(Found {
                        entry: found.entry.or(near.entry.take()),
                        ticket: (ticket, found.ticket),
                    });
                }
            }
        }
    }
}

impl<N: Store, F: Store> Unpin for GetTiered<N, F> {}

impl<N: Store, F: Store> fmt::Debug for GetTiered<N, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetTiered").finish_non_exhaustive()
    }
}

impl<N: Store, F: Store> Store for Tiered<N, F> {
    type Get = GetTiered<N, F>;
    type Ticket = (N::Ticket, F::Ticket);

    fn get(&self, wanted: &Wanted) -> Self::Get {
        GetTiered {
            wanted: *wanted,
            stores: self.clone(),
            state: State::Near(self.near.get(wanted)),
        }
    }

    fn get_now(&self, wanted: &Wanted) -> Option<Arc<Entry>> {
        self.near.get_now(wanted)
    }

    fn put(&self, wanted: &Wanted, entry: Arc<Entry>, ticket: Self::Ticket) -> Put {
        let near = self.near.put(wanted, Arc::clone(&entry), ticket.0);
        let far = self.far.put(wanted, entry, ticket.1);
        // kept in one of them is kept
        if far == Put::Kept { far } else { near }
    }

    fn remove(&self, what: Remove) -> Removing {
        let (near, far) = (self.near.remove(what), self.far.remove(what));
        Box::pin(async move {
            let near = near.await;
            far.await.and(near)
        })
    }

    fn size(&self) -> StoreSize {
        self.near.size()
    }

    fn secret(&self) -> Option<&[u8]> {
        self.near.secret().or_else(|| self.far.secret())
    }
}
