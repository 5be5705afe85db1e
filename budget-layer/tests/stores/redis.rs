//! The Redis store: the contract, several processes, a server that goes away.

use std::{
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use budget_layer::store::{RedisStore, Reserved, Store};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::{
    contract::{play, steps},
    server::Server,
    world::*,
};

/// A store whose server's clock the test moves.
pub struct OnServer<'s> {
    store: RedisStore,
    server: &'s Server,
    prefix: String,
    skew: i64,
}

impl<'s> OnServer<'s> {
    pub fn new(server: &'s Server, prefix: &str) -> Self {
        let real = llm_exchange::WallClock::default()
            .now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let skew = START as i64 - real.as_millis() as i64;
        Self {
            store: Self::open(server, prefix, skew),
            server,
            prefix: prefix.into(),
            skew,
        }
    }

    fn open(server: &Server, prefix: &str, skew: i64) -> RedisStore {
        let store = RedisStore::new(&server.address())
            .unwrap()
            .prefix(prefix)
            // longer than any step of a history, so that only a crash lets it lapse
            .lease(Duration::from_millis(100 * DAY));
        store.skew(skew);
        store
    }
}

impl World for OnServer<'_> {
    type Store = RedisStore;

    fn store(&self) -> &RedisStore {
        &self.store
    }

    fn advance(&mut self, millis: u64) {
        self.skew += millis as i64;
        self.store.skew(self.skew);
    }

    async fn crash(&mut self) {
        self.store.flush().await;
        self.store = Self::open(self.server, &self.prefix, self.skew);
        // the leases of the process that died run out now
        let keys: Vec<String> = self
            .server
            .ask(&["KEYS", &format!("{{{}}}:*:leases", self.prefix)])
            .await;
        for key in keys {
            let ids: Vec<String> = self.server.ask(&["ZRANGE", &key, "0", "-1"]).await;
            for id in ids.iter().filter(|id| !id.starts_with('x')) {
                let _: i64 = self.server.ask(&["ZADD", &key, "0", id]).await;
            }
        }
    }

    async fn settled(&self) {
        self.store.flush().await;
    }
}

#[test]
fn the_redis_store_keeps_the_contract_over_any_history_and_answers_as_the_memory_store_does() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig {
        max_shrink_iters: 20,
        ..ProptestConfig::with_cases(60)
    };
    let mut runner = TestRunner::new(config);
    let number = std::cell::Cell::new(0);
    let result = runner.run(&steps(40), |steps| {
        number.set(number.get() + 1);
        let prefix = format!("contract-{}", number.get());
        runtime.block_on(async {
            let ours = play(&mut OnServer::new(&server, &prefix), &steps).await;
            let memory = play(&mut InMemory::new(), &steps).await;
            assert_eq!(ours, memory);
        });
        Ok(())
    });
    result.unwrap();
}

#[tokio::test]
async fn a_clock_that_steps_back_opens_no_window_again() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let mut world = OnServer::new(&server, "back");
    let claim = claim("day", "alice", window(0), 100, 100);
    let Reserved::Granted(grant) = world
        .store
        .reserve(std::slice::from_ref(&claim))
        .await
        .unwrap()
    else {
        panic!("refused");
    };
    world.store.settle(grant.reservation, &[100]);
    world.store.flush().await;
    world.skew -= 3 * DAY as i64;
    world.store.skew(world.skew);
    let Reserved::Refused(refused) = world
        .store
        .reserve(std::slice::from_ref(&claim))
        .await
        .unwrap()
    else {
        panic!("admitted");
    };
    // until the day ends that was begun
    let wait = refused.standings[0].wait.unwrap().as_millis() as u64;
    assert!(wait.abs_diff(3 * DAY + 23 * HOUR) < 60_000, "{wait}");
    world.advance(4 * DAY);
    assert!(matches!(
        world.store.reserve(&[claim]).await.unwrap(),
        Reserved::Granted(_)
    ));
}

#[tokio::test]
async fn leases_are_renewed_while_the_process_lives_and_charged_after() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let lease = Duration::from_millis(300);
    let store = || RedisStore::new(&server.address()).unwrap().lease(lease);
    let (dying, watching) = (store(), store());
    let claim = claim("total", "alice", window(3), 1_000, 70);
    let Reserved::Granted(grant) = dying.reserve(std::slice::from_ref(&claim)).await.unwrap()
    else {
        panic!("refused");
    };
    tokio::time::sleep(lease * 3).await;
    let standing = read(&watching, &claim).await;
    assert_eq!((standing.used, standing.reserved), (0, 70));
    // as if the process had not renewed it
    let keep = grant.reservation;
    lapse(&server).await;
    let standing = read(&watching, &claim).await;
    assert_eq!((standing.used, standing.reserved), (70, 0));
    // the call ends after all: what it used more is booked, what it used less stays charged
    dying.settle(keep, &[95]);
    dying.flush().await;
    assert_eq!(read(&watching, &claim).await.used, 95);
}

/// As if the one process that has a lease had not renewed it.
async fn lapse(server: &Server) {
    let keys: Vec<String> = server.ask(&["KEYS", "*:leases"]).await;
    let ids: Vec<String> = server.ask(&["ZRANGE", &keys[0], "0", "-1"]).await;
    let _: i64 = server.ask(&["ZADD", &keys[0], "0", &ids[0]]).await;
}

#[tokio::test]
async fn by_setting_a_lapsed_lease_is_given_back() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let store = || RedisStore::new(&server.address()).unwrap().return_lapsed();
    let (dying, watching) = (store(), store());
    let claim = claim("total", "alice", window(3), 100, 70);
    let Reserved::Granted(grant) = dying.reserve(std::slice::from_ref(&claim)).await.unwrap()
    else {
        panic!("refused");
    };
    let again = watching.reserve(std::slice::from_ref(&claim)).await;
    assert!(matches!(again, Ok(Reserved::Refused(_))));
    lapse(&server).await;
    let again = watching.reserve(std::slice::from_ref(&claim)).await;
    assert!(matches!(again, Ok(Reserved::Granted(_))));
    drop(grant);
}

#[tokio::test]
async fn what_is_reserved_is_kept_as_long_as_its_account_wherever_the_clock_stands() {
    let Some(server) = Server::start(false) else {
        return;
    };
    // the clock of accounts three years before the server's, and three after
    for (prefix, ahead) in [("before", -1_100), ("now", 0), ("after", 1_100)] {
        let store = RedisStore::new(&server.address()).unwrap().prefix(prefix);
        store.skew(ahead * DAY as i64);
        for kind in 0..4 {
            let ask = |amount| [claim(&kind.to_string(), "alice", window(kind), 100, amount)];
            let Reserved::Granted(grant) = store.reserve(&ask(70)).await.unwrap() else {
                panic!("refused");
            };
            // another call ends while this one lives
            let Reserved::Granted(other) = store.reserve(&ask(10)).await.unwrap() else {
                panic!("refused");
            };
            store.settle(other.reservation, &[10]);
            store.flush().await;
            assert_eq!(read(&store, &ask(0)[0]).await.reserved, 70);
            let mut lives = Vec::new();
            for key in ["used", "held", "leases"] {
                let key = format!("{{{prefix}}}:{kind}:alice:{key}");
                let left: i64 = server.ask(&["PTTL", &key]).await;
                lives.push(left);
            }
            let [account, held, leases] = lives[..] else {
                unreachable!()
            };
            let together = account.abs_diff(held).max(account.abs_diff(leases)) < 5_000;
            assert!(together, "{prefix} {kind}: {lives:?}");
            let long = if kind == 3 {
                account == -1
            } else {
                account > 2 * DAY as i64 - 5_000
            };
            assert!(long, "{prefix} {kind}: {lives:?}");
            drop(grant);
        }
    }
}

#[tokio::test]
async fn a_call_makes_two_round_trips_whatever_its_limits() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let store = RedisStore::new(&server.address()).unwrap();
    let claims = [
        claim("a", "u", window(0), 1 << 40, 5),
        claim("b", "u", window(1), 1 << 40, 5),
        claim("c", "", window(2), 1 << 40, 5),
    ];
    let calls = 50;
    for _ in 0..calls {
        let Reserved::Granted(grant) = store.reserve(&claims).await.unwrap() else {
            panic!("refused");
        };
        store.settle(grant.reservation, &[4, 4, 4]);
    }
    store.flush().await;
    let stats: String = server.ask(&["INFO", "commandstats"]).await;
    let count = |name: &str| -> u64 {
        let line = stats
            .lines()
            .find(|line| line.starts_with(&format!("cmdstat_{name}:calls=")));
        let number = line.and_then(|line| line.split(['=', ',']).nth(1));
        number.map_or(0, |number| number.parse().unwrap())
    };
    // each script is unknown to the server once
    assert!(count("evalsha") <= 2 * calls + 2, "{stats}");
    assert_eq!(count("script|load"), 2, "{stats}");
    assert_eq!(read(&store, &claims[0]).await.used, 4 * calls);
}

/// What each of the eight processes does. A test of its own, so that the test's program can run it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_eight_processes() {
    let Ok(address) = std::env::var("BUDGET_TEST_REDIS") else {
        return;
    };
    let store = RedisStore::new(&address).unwrap();
    let name: u32 = std::env::var("BUDGET_TEST_PROCESS")
        .unwrap()
        .parse()
        .unwrap();
    let tasks: Vec<_> = (0..25)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let (mut admitted, mut used) = (0, 0);
                for call in 0..50u64 {
                    let amount = 10 + (call * 7 + task) % 30;
                    let claims = [
                        claim("all", "", window(0), LIMIT, amount),
                        claim("user", &format!("u{}", name % 3), window(1), LIMIT, amount),
                    ];
                    if let Reserved::Granted(grant) = store.reserve(&claims).await.unwrap() {
                        admitted += 1;
                        let really = amount - call % 3;
                        used += really;
                        store.settle(grant.reservation, &[really, really]);
                    }
                }
                (admitted, used)
            })
        })
        .collect();
    let (mut admitted, mut used) = (0, 0);
    for task in tasks {
        let (calls, tokens) = task.await.unwrap();
        admitted += calls;
        used += tokens;
    }
    store.flush().await;
    println!("RESULT {admitted} {used}");
}

/// About half of what 10,000 calls ask for.
const LIMIT: u64 = 120_000;

#[tokio::test]
async fn eight_processes_with_ten_thousand_calls_on_one_server_overspend_nothing() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let children: Vec<_> = (0..8)
        .map(|process| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "redis::one_of_eight_processes", "--nocapture"])
                .env("BUDGET_TEST_REDIS", server.address())
                .env("BUDGET_TEST_PROCESS", process.to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let (mut admitted, mut used) = (0, 0);
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let result = text
            .split("RESULT ")
            .nth(1)
            .unwrap_or_else(|| panic!("{text}"));
        let mut numbers = result
            .split_whitespace()
            .map(|number| number.parse::<u64>());
        admitted += numbers.next().unwrap().unwrap();
        used += numbers.next().unwrap().unwrap();
    }
    let store = RedisStore::new(&server.address()).unwrap();
    let standing = read(&store, &claim("all", "", window(0), LIMIT, 0)).await;
    assert_eq!((standing.used, standing.reserved), (used, 0));
    assert!(used <= LIMIT, "overspent by {}", used - LIMIT);
    assert!(
        used + 40 > LIMIT,
        "{used} used of {LIMIT}: calls were refused that fit"
    );
    assert!(admitted < 10_000);
    let mut users = 0;
    for user in 0..3 {
        let user = claim("user", &format!("u{user}"), window(1), LIMIT, 0);
        users += read(&store, &user).await.used;
    }
    assert_eq!(
        users, used,
        "what one limit refused was reserved in the other"
    );
    println!("8 processes, 10,000 calls: {admitted} admitted, {used} of {LIMIT} used, overspent 0");
}

/// Reserves and settles for some seconds while something happens to the server. Returns what was
/// admitted and used, and the longest wait for an answer.
async fn calls_while(
    store: &RedisStore,
    bound: Duration,
    happening: impl Future<Output = ()>,
) -> (u64, Duration) {
    let calling = async {
        let (mut used, mut longest) = (0, Duration::ZERO);
        for _ in 0..150u32 {
            let claims = [claim("total", "alice", window(3), 1 << 40, 10)];
            let began = tokio::time::Instant::now();
            // as the layer waits
            let answer = tokio::time::timeout(bound, store.reserve(&claims)).await;
            longest = longest.max(began.elapsed());
            match answer {
                Ok(Ok(Reserved::Granted(grant))) => store.settle(grant.reservation, &[7]),
                // fail open: booked without a reservation
                _ => store.charge(&[claim("total", "alice", window(3), 1 << 40, 7)]),
            }
            used += 7;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (used, longest)
    };
    tokio::join!(calling, happening).0
}

#[tokio::test]
async fn a_server_that_is_paused_killed_and_started_again_loses_nothing_and_holds_nobody_up() {
    let Some(mut server) = Server::start(true) else {
        return;
    };
    let store = RedisStore::new(&server.address()).unwrap();
    let bound = Duration::from_millis(100);
    let second = Duration::from_secs(1);
    let (used, longest) = calls_while(&store, bound, async {
        tokio::time::sleep(second / 5).await;
        server.pause(true);
        tokio::time::sleep(second / 2).await;
        server.pause(false);
        tokio::time::sleep(second / 5).await;
        server.kill();
        tokio::time::sleep(second / 2).await;
        server.begin();
    })
    .await;
    assert!(longest < bound + Duration::from_millis(150), "{longest:?}");
    tokio::time::timeout(second * 10, store.flush())
        .await
        .expect("booked at last");
    let standing = read(&store, &claim("total", "alice", window(3), 1, 0)).await;
    assert_eq!(standing.reserved, 0);
    assert_eq!(standing.used, used);
}

#[tokio::test]
async fn after_a_server_came_again_without_its_last_writes_booking_goes_on() {
    let Some(mut server) = Server::start(false) else {
        return;
    };
    let store = RedisStore::new(&server.address()).unwrap();
    let charge = async |amount| {
        store.charge(&[claim("total", "alice", window(3), 1_000, amount)]);
        let booked = tokio::time::timeout(Duration::from_secs(10), store.flush());
        booked.await.expect("booked");
    };
    let used = async || {
        read(&store, &claim("total", "alice", window(3), 1, 0))
            .await
            .used
    };
    charge(1).await;
    let saved: String = server.ask(&["SAVE"]).await;
    assert_eq!(saved, "OK");
    charge(10).await;
    charge(10).await;
    server.kill();
    server.begin();
    for _ in 0..3 {
        charge(100).await;
    }
    assert_eq!(used().await, 301);
}

#[tokio::test]
async fn leases_are_renewed_while_there_is_always_something_to_book() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let lease = Duration::from_millis(400);
    let store = || RedisStore::new(&server.address()).unwrap().lease(lease);
    let (busy, watching) = (store(), store());
    let ours = claim("total", "alice", window(3), 1_000, 70);
    let Reserved::Granted(grant) = busy.reserve(std::slice::from_ref(&ours)).await.unwrap() else {
        panic!("refused");
    };
    let other = [claim("total", "bob", window(3), 1_000, 1)];
    for _ in 0..90_000 {
        busy.charge(&other);
    }
    tokio::time::sleep(lease * 2).await;
    let standing = read(&watching, &ours).await;
    assert!(busy.waiting() > 0, "too fast to tell");
    assert_eq!((standing.used, standing.reserved), (0, 70));
    drop(grant);
}

#[tokio::test]
async fn a_lease_without_end_is_one() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let store = RedisStore::new(&server.address())
        .unwrap()
        .lease(Duration::MAX);
    let claims = [claim("total", "alice", window(3), 1_000, 70)];
    let Reserved::Granted(grant) = store.reserve(&claims).await.unwrap() else {
        panic!("refused");
    };
    store.settle(grant.reservation, &[7]);
    let booked = tokio::time::timeout(Duration::from_secs(10), store.flush());
    booked.await.expect("booked");
    assert_eq!(read(&store, &claims[0]).await.used, 7);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_reserved() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let store = RedisStore::new(&server.address()).unwrap();
    let claims = [claim("total", "alice", window(3), 1_000, 10)];
    // so that there is a connection
    read(&store, &claims[0]).await;
    server.pause(true);
    for _ in 0..5 {
        let answer = tokio::time::timeout(Duration::from_millis(20), store.reserve(&claims)).await;
        assert!(answer.is_err());
    }
    server.pause(false);
    store.flush().await;
    let standing = read(&store, &claims[0]).await;
    assert_eq!((standing.used, standing.reserved), (0, 0));
}
