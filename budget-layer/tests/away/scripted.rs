//! A store that does as a script says, in paused time.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use budget_layer::store::{
    Claim, Edit, Guarded, MemoryReservation, MemoryStore, Reserved, Standing, Store, StoreError,
    WhenAway,
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::time::{Instant, sleep};

use crate::world::*;

/// How the store behaves now.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Answers,
    AnswersAfter(u64),
    Fails,
    Hangs,
}

/// A store in memory behind a line that does as told. What ends is booked whatever the line does, as
/// a store with a queue has it.
#[derive(Clone)]
struct Moody {
    inner: MemoryStore,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<AtomicUsize>,
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

impl Moody {
    fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            mood: Arc::new(Mutex::new(Mood::Answers)),
            asked: Arc::default(),
        }
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Relaxed)
    }

    fn answer<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&MemoryStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let (mood, inner) = (*self.mood.lock().unwrap(), self.inner.clone());
        self.asked.fetch_add(1, Relaxed);
        Box::pin(async move {
            match mood {
                Mood::Answers => {}
                Mood::AnswersAfter(millis) => sleep(Duration::from_millis(millis)).await,
                Mood::Fails => return Err(StoreError::new("scripted")),
                Mood::Hangs => std::future::pending().await,
            }
            answer(&inner)
        })
    }
}

impl Store for Moody {
    type Reservation = MemoryReservation;
    type Reserve = Answer<Reserved<MemoryReservation>>;
    type Extend = Answer<Reserved<()>>;
    type Read = Answer<Vec<Standing>>;

    fn reserve(&self, claims: &[Claim]) -> Self::Reserve {
        let claims = claims.to_vec();
        self.answer(move |inner| inner.reserve(&claims).into_inner())
    }

    fn extend(&self, reservation: &mut MemoryReservation, claims: &[Claim]) -> Self::Extend {
        // only while it answers, as nothing else is told of it
        if *self.mood.lock().unwrap() == Mood::Answers {
            let extended = self.inner.extend(reservation, claims).into_inner();
            return self.answer(move |_| extended);
        }
        self.answer(|_| Err(StoreError::new("too late")))
    }

    fn settle(&self, reservation: MemoryReservation, used: &[u64]) {
        self.inner.settle(reservation, used);
    }

    fn charge(&self, claims: &[Claim]) {
        self.inner.charge(claims);
    }

    fn read(&self, claims: &[Claim]) -> Self::Read {
        let claims = claims.to_vec();
        self.answer(move |inner| inner.read(&claims).into_inner())
    }

    fn edit(&self, claim: &Claim, edit: Edit) -> Self::Read {
        let claim = claim.clone();
        self.answer(move |inner| inner.edit(&claim, edit).into_inner())
    }
}

const WAIT: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_secs(1);

fn world(when_away: WhenAway) -> (Moody, Guarded<Moody>) {
    let hand = Hand::new();
    let moody = Moody::new(MemoryStore::new().clock(hand.clock()));
    let store = Guarded::new(moody.clone())
        .when_away(when_away)
        .clock(hand.clock());
    (moody, store)
}

fn ten() -> [Claim; 1] {
    [claim("day", "alice", window(0), 1_000, 10)]
}

/// How long the answer took, and whether it was a reservation.
async fn try_one(store: &Guarded<Moody>, claims: &[Claim]) -> (Duration, bool) {
    let start = Instant::now();
    let granted = match store.reserve(claims).await {
        Ok(Reserved::Granted(grant)) => {
            let used: Vec<_> = claims.iter().map(|claim| claim.least).collect();
            store.settle(grant.reservation, &used);
            true
        }
        _ => false,
    };
    (start.elapsed(), granted)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_makes_three_calls_wait_and_then_one_a_second() {
    let (moody, store) = world(WhenAway::Refuse);
    assert_eq!(try_one(&store, &ten()).await, (Duration::ZERO, true));
    moody.is(Mood::Hangs);
    for _ in 0..3 {
        assert!(!store.is_away());
        assert_eq!(try_one(&store, &ten()).await, (WAIT, false));
    }
    assert!(store.is_away());
    moody.asked();
    for _ in 0..100 {
        assert_eq!(try_one(&store, &ten()).await, (Duration::ZERO, false));
    }
    assert_eq!(moody.asked(), 0);
    sleep(PAUSE).await;
    let claims = ten();
    let (one, other) = tokio::join!(try_one(&store, &claims), try_one(&store, &claims));
    assert_eq!((one, other), ((WAIT, false), (Duration::ZERO, false)));
    assert_eq!(moody.asked(), 1);
    moody.is(Mood::Answers);
    assert_eq!(try_one(&store, &ten()).await, (Duration::ZERO, false));
    sleep(PAUSE).await;
    assert_eq!(try_one(&store, &ten()).await, (Duration::ZERO, true));
    assert!(!store.is_away());
    assert_eq!(read(&moody.inner, &ten()[0]).await.used, 20);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_nobody_waits_for_any_more_leaves_the_next_to_another_call() {
    let (moody, store) = world(WhenAway::Refuse);
    moody.is(Mood::Fails);
    for _ in 0..3 {
        try_one(&store, &ten()).await;
    }
    sleep(PAUSE).await;
    moody.is(Mood::Hangs);
    {
        let mut trial = store.reserve(&ten());
        let waiting = tokio::time::timeout(WAIT / 2, &mut trial).await;
        assert!(waiting.is_err());
        assert!(!try_one(&store, &ten()).await.1);
    }
    moody.is(Mood::Answers);
    assert_eq!(try_one(&store, &ten()).await, (Duration::ZERO, true));
}

#[tokio::test(start_paused = true)]
async fn while_it_is_away_calls_are_admitted_by_what_this_process_spent_since_and_it_is_told() {
    let (moody, store) = world(WhenAway::Admit);
    assert!(try_one(&store, &ten()).await.1);
    moody.is(Mood::Fails);
    let mut admitted = 0;
    for _ in 0..150 {
        admitted += u64::from(try_one(&store, &ten()).await.1);
    }
    // this process alone may not spend more than the limit
    assert_eq!(admitted, 100);
    assert_eq!(read(&moody.inner, &ten()[0]).await.used, 10 + 20);
    assert_eq!(store.owed(), 1);
    moody.is(Mood::Answers);
    sleep(PAUSE).await;
    // the trial itself is admitted, as the store does not know yet
    assert!(try_one(&store, &ten()).await.1);
    assert_eq!(store.owed(), 0);
    assert_eq!(read(&moody.inner, &ten()[0]).await.used, 1_000 + 20);
    assert!(!try_one(&store, &ten()).await.1);
}

#[tokio::test(start_paused = true)]
async fn while_it_is_away_what_a_call_did_not_use_is_there_for_others() {
    let (moody, store) = world(WhenAway::Admit);
    moody.is(Mood::Fails);
    let mut admitted = 0;
    while let Ok(Reserved::Granted(grant)) = store.reserve(&ten()).await {
        store.settle(grant.reservation, &[4]);
        admitted += 1;
    }
    // 248 times 4, and 8 of 1,000 are too few for the next
    assert_eq!(admitted, 248);
    let Ok(Reserved::Refused(refused)) = store.reserve(&ten()).await else {
        panic!("admitted");
    };
    assert_eq!(refused.standings[0].used, 992);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_began_while_it_was_away_and_ended_when_it_was_back_is_booked_then() {
    let (moody, store) = world(WhenAway::Admit);
    moody.is(Mood::Fails);
    for _ in 0..3 {
        try_one(&store, &ten()).await;
    }
    let Reserved::Granted(mut grant) = store.reserve(&ten()).await.unwrap() else {
        panic!("refused");
    };
    let more = store.extend(&mut grant.reservation, &ten()).await.unwrap();
    assert!(matches!(more, Reserved::Granted(_)));
    moody.is(Mood::Answers);
    sleep(PAUSE).await;
    assert!(try_one(&store, &ten()).await.1);
    assert_eq!(read(&moody.inner, &ten()[0]).await.used, 40);
    store.settle(grant.reservation, &[17]);
    assert_eq!(read(&moody.inner, &ten()[0]).await.used, 57);
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_booked_when_the_store_is_dropped() {
    let (moody, store) = world(WhenAway::Admit);
    moody.is(Mood::Fails);
    for _ in 0..10 {
        assert!(try_one(&store, &ten()).await.1);
    }
    drop(store);
    assert_eq!(read(&moody.inner, &ten()[0]).await.used, 100);
}

#[tokio::test(start_paused = true)]
async fn a_charge_without_a_reservation_is_kept_until_the_store_is_back() {
    let (moody, store) = world(WhenAway::Refuse);
    store.charge(&ten());
    assert_eq!(read(&moody.inner, &ten()[0]).await.used, 10);
    moody.is(Mood::Fails);
    for _ in 0..3 {
        try_one(&store, &ten()).await;
    }
    store.charge(&ten());
    store.charge(&ten());
    assert_eq!(store.owed(), 1);
    assert_eq!(read(&moody.inner, &ten()[0]).await.used, 10);
    moody.is(Mood::Answers);
    sleep(PAUSE).await;
    assert!(try_one(&store, &ten()).await.1);
    assert_eq!(read(&moody.inner, &ten()[0]).await.used, 40);
}

#[tokio::test(start_paused = true)]
async fn a_store_without_room_is_not_away() {
    let full = Moody::new(MemoryStore::max_scopes(1));
    let store = Guarded::new(full);
    let mut refused = 0;
    for user in 0..500 {
        let claims = [claim("day", &format!("u{user}"), window(0), 100, 10)];
        refused += usize::from(store.reserve(&claims).await.is_err());
    }
    assert!(refused > 300);
    assert!(!store.is_away());
}

#[tokio::test(start_paused = true)]
async fn an_extension_is_waited_for_no_longer_and_refused_or_admitted_as_set() {
    for when_away in [WhenAway::Refuse, WhenAway::Admit] {
        let (moody, store) = world(when_away);
        let Reserved::Granted(mut grant) = store.reserve(&ten()).await.unwrap() else {
            panic!("refused");
        };
        moody.is(Mood::Hangs);
        let start = Instant::now();
        let extended = store.extend(&mut grant.reservation, &ten()).await;
        assert_eq!(start.elapsed(), WAIT);
        assert_eq!(
            matches!(extended, Ok(Reserved::Granted(_))),
            when_away == WhenAway::Admit
        );
        store.settle(grant.reservation, &[20]);
        let standing = read(&moody.inner, &ten()[0]).await;
        assert_eq!((standing.used, standing.reserved), (20, 0));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Mood(Mood),
    Wait(u64),
    /// A call of this user, that runs on until it is settled with so much.
    Begin(usize, u64),
    /// It is dropped after so many milliseconds.
    Abandon(usize, u64),
    End(usize),
    Extend(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let mood = prop_oneof![
        3 => Just(Mood::Answers),
        1 => (1u64..400).prop_map(Mood::AnswersAfter),
        1 => Just(Mood::Fails),
        1 => Just(Mood::Hangs),
    ];
    prop_oneof![
        1 => mood.prop_map(Step::Mood),
        1 => (0u64..1_500).prop_map(Step::Wait),
        4 => (0usize..4, 0u64..40).prop_map(|(user, used)| Step::Begin(user, used)),
        1 => (0usize..4, 0u64..300).prop_map(|(user, millis)| Step::Abandon(user, millis)),
        3 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::Extend),
    ]
}

async fn play(when_away: WhenAway, steps: &[Step]) {
    let (moody, store) = world(when_away);
    let claims = |user: usize| {
        [
            claim("day", &format!("u{user}"), window(0), 1_000_000, 20),
            claim("all", "", window(3), 1_000_000, 20),
        ]
    };
    let (mut running, mut spent) = (Vec::new(), BTreeMap::new());
    for step in steps {
        let start = Instant::now();
        match *step {
            Step::Mood(mood) => moody.is(mood),
            Step::Wait(millis) => sleep(Duration::from_millis(millis)).await,
            Step::Begin(user, used) => {
                let reserved = store.reserve(&claims(user)).await;
                assert!(start.elapsed() <= WAIT);
                match reserved {
                    Ok(Reserved::Granted(grant)) => running.push((user, used, grant.reservation)),
                    // the limits are far away
                    Ok(refused) => panic!("{refused:?}"),
                    Err(error) => assert_eq!(when_away, WhenAway::Refuse, "{error}"),
                }
            }
            Step::Abandon(user, millis) => {
                let reserved = store.reserve(&claims(user));
                let wait = Duration::from_millis(millis);
                if let Ok(Ok(Reserved::Granted(grant))) = tokio::time::timeout(wait, reserved).await
                {
                    store.release(grant.reservation);
                }
            }
            Step::End(which) if !running.is_empty() => {
                let (user, used, reservation) = running.swap_remove(which % running.len());
                store.settle(reservation, &[used, used]);
                *spent.entry(user).or_insert(0) += used;
            }
            Step::Extend(which) if !running.is_empty() => {
                let which = which % running.len();
                let (user, _, reservation) = &mut running[which];
                let extended = store.extend(reservation, &claims(*user)).await;
                assert!(start.elapsed() <= WAIT);
                assert!(extended.is_ok() || when_away == WhenAway::Refuse);
            }
            Step::End(_) | Step::Extend(_) => {}
        }
    }
    for (user, used, reservation) in running {
        store.settle(reservation, &[used, used]);
        *spent.entry(user).or_insert(0) += used;
    }
    moody.is(Mood::Answers);
    for _ in 0..2 {
        sleep(PAUSE + WAIT).await;
        try_one(&store, &[claim("other", "", window(0), 1_000, 1)]).await;
    }
    assert_eq!(store.owed(), 0);
    let all = read(&moody.inner, &claims(0)[1]).await;
    assert_eq!((all.used, all.reserved), (spent.values().sum(), 0));
    for (user, used) in spent {
        let standing = read(&moody.inner, &claims(user)[0]).await;
        assert_eq!((standing.used, standing.reserved), (used, 0));
    }
}

#[test]
fn in_any_history_no_call_waits_longer_than_its_bound_and_nothing_spent_is_lost_or_booked_twice() {
    let mut runner = TestRunner::new(ProptestConfig {
        max_shrink_iters: 500,
        ..ProptestConfig::with_cases(400)
    });
    let histories = (any::<bool>(), prop::collection::vec(step(), 1..80));
    let result = runner.run(&histories, |(admit, steps)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let when_away = if admit {
            WhenAway::Admit
        } else {
            WhenAway::Refuse
        };
        runtime.block_on(play(when_away, &steps));
        Ok(())
    });
    result.unwrap();
}
