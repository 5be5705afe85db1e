use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{Found, GetAll, Put, Remove, Removing, Store, StoreSize, Wanted};
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
                    if found.is_fresh(this.wanted.now) {
                        return Poll::Ready(found.before(None));
                    }
                    // another process may have a newer one
                    this.state = State::Far(this.stores.far.get(&this.wanted), found);
                }
                State::Far(far, near) => {
                    let far = ready!(Pin::new(far).poll(cx));
                    this.stores.keep_near(&this.wanted, &far, near);
                    return Poll::Ready(std::mem::take(near).before(Some(far)));
                }
            }
        }
    }
}

impl<T> Found<T> {
    fn is_fresh(&self, now: u64) -> bool {
        let entry = self.entry.as_ref();
        entry.is_some_and(|entry| entry.age(now) < entry.ttl())
    }

    /// The entry, unless the other one was stored after it.
    fn newer_than<O>(&self, other: &Found<O>) -> Option<&Arc<Entry>> {
        let stored = |entry: &Arc<Entry>| entry.head.stored_at;
        let other = other.entry.as_ref().map(stored);
        self.entry.as_ref().filter(|own| other <= Some(stored(own)))
    }

    /// What the nearer store found, with what the farther one did, if it was asked.
    fn before<F: Default>(self, far: Option<Found<F>>) -> Found<(T, F)> {
        let far = far.unwrap_or_else(|| Found {
            entry: None,
            ticket: F::default(),
        });
        let later = far.newer_than(&self);
        Found {
            entry: later.cloned().or(self.entry),
            ticket: (self.ticket, far.ticket),
        }
    }
}

impl<N: Store, F: Store> Tiered<N, F> {
    fn keep_near(&self, wanted: &Wanted, far: &Found<F::Ticket>, near: &Found<N::Ticket>) {
        if let Some(entry) = far.newer_than(near) {
            self.near
                .put(wanted, Arc::clone(entry), near.ticket.clone());
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

    fn get_all(&self, wanted: &[Wanted]) -> GetAll<Self::Ticket> {
        let (stores, wanted) = (self.clone(), wanted.to_vec());
        Box::pin(async move {
            let mut near = stores.near.get_all(&wanted).await;
            near.resize_with(wanted.len(), Found::default);
            let is_old = |place: &usize| !near[*place].is_fresh(wanted[*place].now);
            let old: Vec<_> = (0..wanted.len()).filter(is_old).collect();
            let mut far: Vec<_> = wanted.iter().map(|_| None).collect();
            if !old.is_empty() {
                let rest: Vec<_> = old.iter().map(|place| wanted[*place]).collect();
                let found = stores.far.get_all(&rest).await;
                for (place, found) in old.into_iter().zip(found) {
                    stores.keep_near(&wanted[place], &found, &near[place]);
                    far[place] = Some(found);
                }
            }
            let both = near.into_iter().zip(far);
            both.map(|(near, far)| near.before(far)).collect()
        })
    }

    fn has_answered(&self, ticket: &Self::Ticket) -> bool {
        self.near.has_answered(&ticket.0) && self.far.has_answered(&ticket.1)
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
