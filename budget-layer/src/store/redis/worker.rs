//! Books what has ended, and renews the leases of what has not.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{ServerErrorKind, Value, aio::ConnectionManager};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::{Shared, script::Reply};
use crate::{
    account::MOST,
    store::{Claim, Scope},
};

/// What one call used.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) id: String,
    pub(super) claims: Arc<[Claim]>,
    /// Nothing for those that are missing.
    pub(super) used: Vec<u64>,
}

impl Settlement {
    pub(super) const fn new(id: String, claims: Arc<[Claim]>, used: Vec<u64>) -> Self {
        Self { id, claims, used }
    }
}

/// More calls are not kept while the server is away, nor more scopes of charges.
const MOST_WAITING: usize = 100_000;
/// So many are sent at a time, in one write.
const BATCH: usize = 128;
/// So long the worker goes on trying after its store is gone.
const LAST: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_millis(20);
const LATER: Duration = Duration::from_secs(1);
/// Leases are renewed so often at least, however long they are.
const MOST_APART: Duration = Duration::from_secs(3_600);
/// A settlement that the server refuses so often is not one that it will ever take.
const MOST_REFUSALS: u32 = 30;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to book, or the store is gone.
    pushed: Notify,
    /// Everything is booked.
    booked: Notify,
    stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    ended: VecDeque<Settlement>,
    /// Taken out to be booked.
    sending: usize,
    alive: HashMap<u64, Arc<[Claim]>>,
    /// Charges for which there was no place, added up.
    owed: HashMap<Scope, Settlement>,
}

impl State {
    fn add_up(&mut self, charge: &Settlement) {
        for (claim, used) in charge.claims.iter().zip(&charge.used) {
            let has_room = self.owed.len() < MOST_WAITING;
            match self.owed.entry(claim.scope.clone()) {
                Entry::Occupied(mut sum) => {
                    for sum in &mut sum.get_mut().used {
                        *sum = sum.saturating_add(*used).min(MOST);
                    }
                }
                Entry::Vacant(place) if has_room => {
                    let claims = Arc::from([claim.clone()]);
                    place.insert(Settlement::new(charge.id.clone(), claims, vec![*used]));
                }
                Entry::Vacant(_) => {
                    tracing::error!("too much waits for the budgets' store: a charge is lost");
                }
            }
        }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        let state = self.state();
        state.ended.len() + state.owed.len() + state.sending
    }

    /// A call lives from here on.
    pub(super) fn begin(&self, number: u64, claims: &Arc<[Claim]>) {
        self.state().alive.insert(number, Arc::clone(claims));
    }

    pub(super) fn end(&self, number: u64) {
        self.state().alive.remove(&number);
    }

    pub(super) fn push(&self, settlement: Settlement) {
        let mut state = self.state();
        if state.ended.len() >= MOST_WAITING {
            drop(state);
            tracing::error!("too many ended calls wait for the store: one is charged by its lease");
            return;
        }
        state.ended.push_back(settlement);
        drop(state);
        self.pushed.notify_one();
    }

    /// Of a call that has no lease: where there is no place, it is added to what its scopes owe.
    pub(super) fn charge(&self, charge: Settlement) {
        let mut state = self.state();
        if state.ended.len() < MOST_WAITING {
            state.ended.push_back(charge);
        } else {
            state.add_up(&charge);
        }
        drop(state);
        self.pushed.notify_one();
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Relaxed);
        self.pushed.notify_one();
    }

    pub(super) async fn booked(&self) {
        loop {
            let booked = self.booked.notified();
            if self.len() == 0 {
                return;
            }
            booked.await;
        }
    }

    fn take(&self) -> Vec<Settlement> {
        let mut state = self.state();
        let many = state.ended.len().min(BATCH);
        let mut batch: Vec<_> = state.ended.drain(..many).collect();
        if batch.is_empty() {
            let scopes: Vec<_> = state.owed.keys().take(BATCH).cloned().collect();
            batch.extend(scopes.iter().filter_map(|scope| state.owed.remove(scope)));
        }
        state.sending = batch.len();
        batch
    }

    fn sent(&self) {
        self.state().sending = 0;
        if self.len() == 0 {
            self.booked.notify_waiters();
        }
    }
}

/// Under which name, and which number there, the next settlement is booked.
#[derive(Clone, Copy)]
pub(super) struct Series {
    pub(super) name: u64,
    pub(super) number: u64,
}

impl Series {
    /// Nothing is known of this name yet.
    fn begin() -> Self {
        Self {
            name: fastrand::u64(..),
            number: 0,
        }
    }

    const fn after(self, many: u64) -> Self {
        Self {
            number: self.number + many,
            ..self
        }
    }
}

/// When leases are renewed: every third of them.
struct Renewal {
    next: Instant,
    every: Duration,
}

impl Renewal {
    fn of(lease: Duration) -> Self {
        let every = (lease / 3).min(MOST_APART);
        Self {
            next: Instant::now() + every,
            every,
        }
    }

    async fn if_due(&mut self, shared: &Arc<Shared>, connection: &mut ConnectionManager) {
        if Instant::now() >= self.next {
            renew(shared, connection).await;
            self.next = Instant::now() + self.every;
        }
    }
}

/// Runs until the store is gone and everything is booked.
pub(super) async fn run(shared: Arc<Shared>, mut connection: ConnectionManager) {
    let mut series = Series::begin();
    let mut renewal = Renewal::of(shared.lease);
    loop {
        // ready at once if something was pushed before
        let _ = timeout_at(renewal.next, shared.queue.pushed.notified()).await;
        loop {
            // in here too: the queue need never be empty
            renewal.if_due(&shared, &mut connection).await;
            let batch = shared.queue.take();
            if batch.is_empty() {
                break;
            }
            let mut batch = Batch {
                settlements: batch,
                first: series,
                refusals: 0,
            };
            if !batch.book(&shared, &mut connection, &mut renewal).await {
                tracing::error!(
                    "the budgets' store is away: ended calls are charged by their leases"
                );
                return;
            }
            series = batch.first;
            shared.queue.sent();
        }
        if shared.queue.stopped.load(Relaxed) && shared.queue.len() == 0 {
            return;
        }
    }
}

/// Settlements in order, numbered so that each is booked once however often it is sent.
struct Batch {
    settlements: Vec<Settlement>,
    /// Of the first of them.
    first: Series,
    refusals: u32,
}

impl Batch {
    /// Sends them until the server has them all. False: the store is gone, and there is no more time.
    async fn book(
        &mut self,
        shared: &Arc<Shared>,
        connection: &mut ConnectionManager,
        renewal: &mut Renewal,
    ) -> bool {
        let (mut pause, mut give_up) = (SOON, None);
        while !self.settlements.is_empty() {
            if self.send(shared, connection).await {
                pause = SOON;
                continue;
            }
            let now = Instant::now();
            if shared.queue.stopped.load(Relaxed)
                && now >= *give_up.get_or_insert_with(|| now + LAST)
            {
                return false;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LATER);
            renewal.if_due(shared, connection).await;
        }
        true
    }

    /// False: wait before the next try. What the server has is taken out.
    async fn send(&mut self, shared: &Arc<Shared>, connection: &mut ConnectionManager) -> bool {
        let mut pipeline = redis::pipe();
        for (settlement, at) in self.settlements.iter().zip(0..) {
            let of = self.first.after(at);
            let call = shared.scripts.settle(shared, settlement, of, at == 0);
            pipeline.invoke_script(&call);
        }
        pipeline.ignore_errors();
        let answers: Result<Vec<Value>, _> = pipeline.query_async(connection).await;
        let Ok(answers) = answers else {
            return false;
        };
        for answer in answers {
            let reply = match &answer {
                Value::ServerError(error) => {
                    let unknown = error.kind() == Some(ServerErrorKind::NoScript);
                    if unknown {
                        let loaded = shared.scripts.settle.load_async(connection).await;
                        return loaded.is_ok();
                    }
                    self.refused();
                    return false;
                }
                answer => Reply::read(answer),
            };
            if let Some(reply) = &reply {
                shared.server_is_at(reply.now());
            }
            match reply {
                Some(Reply::Done { .. }) => {
                    self.settlements.remove(0);
                    self.first = self.first.after(1);
                }
                // all before it were booked once, and the server has lost that: it began again with
                // what it had saved. So do the numbers
                Some(Reply::Gap { .. }) => {
                    tracing::error!("the budgets' store has lost what was booked last");
                    self.first = Series::begin();
                    return true;
                }
                // our windows are right with the next try
                Some(Reply::OtherClock { .. }) => return true,
                _ => {
                    self.refused();
                    return false;
                }
            }
        }
        true
    }

    /// After many refusals of the first, nothing is booked in its place.
    fn refused(&mut self) {
        self.refusals += 1;
        if self.refusals >= MOST_REFUSALS
            && let Some(first) = self.settlements.first_mut()
        {
            tracing::error!("the budgets' store does not take a settlement: it is lost");
            let _ = mem::take(&mut first.used);
            first.claims = Arc::from([]);
            self.refusals = 0;
        }
    }
}

/// Every call that lives, in portions.
async fn renew(shared: &Arc<Shared>, connection: &mut ConnectionManager) {
    let alive: Vec<(String, Arc<[Claim]>)> = {
        let state = shared.queue.state();
        let alive = state.alive.iter();
        alive
            .map(|(number, claims)| (shared.id(*number), Arc::clone(claims)))
            .collect()
    };
    for portion in alive.chunks(BATCH) {
        let portion: Vec<(String, &[Claim])> = portion
            .iter()
            .map(|(id, claims)| (id.clone(), &claims[..]))
            .collect();
        let call = shared.scripts.renew(shared, &portion);
        let renewed: Result<Value, _> = call.invoke_async(connection).await;
        if renewed.is_err() {
            tracing::warn!("leases of running calls can't be renewed: the store is away");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Window;

    #[test]
    fn of_more_than_can_wait_a_call_is_left_to_its_lease_and_a_charge_is_added_up() {
        let queue = Queue::default();
        let settlement = |owner: &str, used| {
            let scope = Scope::new("day".into(), owner.into());
            let claims = Arc::from([Claim::new(scope, Window::total(), 100, 0)]);
            Settlement::new(String::from("1"), claims, vec![used])
        };
        for _ in 0..MOST_WAITING {
            queue.push(settlement("alice", 1));
        }
        queue.push(settlement("alice", 1_000));
        for owner in ["alice", "bob", "alice"] {
            queue.charge(settlement(owner, 10));
        }
        assert_eq!(queue.len(), MOST_WAITING + 2);
        let mut used = HashMap::new();
        while queue.len() > 0 {
            for settlement in queue.take() {
                let owner = settlement.claims[0].scope.owner().to_owned();
                *used.entry(owner).or_insert(0) += settlement.used[0];
            }
            queue.sent();
        }
        assert_eq!((used["alice"], used["bob"]), (MOST_WAITING as u64 + 20, 10));
    }
}
