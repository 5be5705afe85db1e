//! A real server, killed, paused and started again in the middle of a run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use budget_layer::store::{Claim, Guarded, RedisStore, Reserved, Store, WhenAway};
use tokio::time::{Instant, sleep};

use crate::{
    server::Server,
    world::{claim, read, window},
};

const WAIT: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Run {
    over: AtomicBool,
    longest: AtomicU64,
    admitted: AtomicU64,
    refused: AtomicU64,
    spent: AtomicU64,
}

fn claims(user: usize) -> [Claim; 2] {
    [
        claim("user", &format!("u{user}"), window(3), 1 << 40, 30),
        claim("all", "", window(3), 1 << 40, 30),
    ]
}

/// Calls one after the other until the run is over.
async fn caller(user: usize, store: Guarded<RedisStore>, run: Arc<Run>) {
    let mut number = user as u64;
    while !run.over.load(Relaxed) {
        number += 1;
        let start = Instant::now();
        let reserved = store.reserve(&claims(user)).await;
        let waited = start.elapsed().as_millis() as u64;
        run.longest.fetch_max(waited, Relaxed);
        match reserved {
            Ok(Reserved::Granted(grant)) => {
                sleep(Duration::from_millis(number % 7)).await;
                let used = number % 30;
                store.settle(grant.reservation, &[used, used]);
                run.spent.fetch_add(used, Relaxed);
                run.admitted.fetch_add(1, Relaxed);
            }
            Ok(refused) => panic!("{refused:?}"),
            Err(_) => {
                run.refused.fetch_add(1, Relaxed);
                sleep(Duration::from_millis(2)).await;
            }
        }
    }
}

async fn through_all_of_it(when_away: WhenAway) {
    let Some(mut server) = Server::start(true) else {
        return;
    };
    let redis = RedisStore::new(&server.address()).unwrap();
    let store = Guarded::new(redis.clone())
        .when_away(when_away)
        .wait(WAIT)
        .pause(Duration::from_millis(200));
    let run = Arc::new(Run::default());
    let callers: Vec<_> = (0..8)
        .map(|user| tokio::spawn(caller(user, store.clone(), Arc::clone(&run))))
        .collect();
    sleep(Duration::from_millis(300)).await;
    assert!(run.admitted.load(Relaxed) > 0);

    server.kill();
    sleep(Duration::from_millis(700)).await;
    assert!(store.is_away());
    let refused = run.refused.load(Relaxed);
    assert_eq!(refused > 0, when_away == WhenAway::Refuse, "{refused}");
    server.begin();
    back(&store).await;

    server.pause(true);
    sleep(Duration::from_millis(1_200)).await;
    assert!(store.is_away());
    server.pause(false);
    back(&store).await;

    server.kill();
    server.begin();
    back(&store).await;
    sleep(Duration::from_millis(200)).await;

    run.over.store(true, Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    // the machine may be busy; a store that is waited for takes seconds
    let longest = Duration::from_millis(run.longest.load(Relaxed));
    assert!(longest < 2 * WAIT, "{longest:?}");
    redis.flush().await;
    assert_eq!(store.owed(), 0);
    let all = read(&redis, &claims(0)[1]).await;
    assert_eq!((all.used, all.reserved), (run.spent.load(Relaxed), 0));
    let mut sum = 0;
    for user in 0..8 {
        sum += read(&redis, &claims(user)[0]).await.used;
    }
    assert_eq!(sum, all.used);
}

/// Until calls are counted by the store again.
async fn back(store: &Guarded<RedisStore>) {
    let start = Instant::now();
    while store.is_away() || store.read(&claims(0)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "it stays away");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusing_no_call_waits_longer_than_its_bound_and_nothing_is_lost() {
    through_all_of_it(WhenAway::Refuse).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admitting_no_call_waits_longer_than_its_bound_and_nothing_is_lost() {
    through_all_of_it(WhenAway::Admit).await;
}
