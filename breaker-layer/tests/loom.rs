//! Every interleaving of two threads at one gate, and at the counts of a layer.
//!
//! The crate's own files, compiled with loom's atomics and lock in place of the standard library's.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, missing_docs)]

#[path = "../src/circuit.rs"]
mod circuit;
#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/known.rs"]
mod known;
#[path = "../src/places.rs"]
mod places;
#[path = "../src/recent.rs"]
mod recent;
#[path = "../src/rules.rs"]
mod rules;

mod sync {
    pub(crate) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    };
}

use std::sync::Mutex as StdMutex;

use loom::{sync::Arc, thread};

use crate::{
    circuit::{CircuitState, Outcome, Refused, Said, Token},
    gate::{Change, Gate},
    known::Known,
    places::Places,
    rules::{Kind, LastResort, Nanos, Rules},
};

const FAILURE: Outcome = Outcome {
    said: Said::Failure,
    slow: false,
    retry_after: None,
};
const SUCCESS: Outcome = Outcome {
    said: Said::Success,
    ..FAILURE
};

/// A gate, and what it told.
struct World {
    rules: Rules,
    gate: Gate,
    told: StdMutex<Vec<Change>>,
}

impl World {
    fn new(failures: u32) -> Arc<Self> {
        let rules = Rules {
            in_a_row: Some(failures),
            open_for: 10,
            jitter_percent: 0,
            successes: 1,
            ..Rules::default()
        };
        Arc::new(Self {
            rules,
            gate: Gate::new(&rules, 0),
            told: StdMutex::default(),
        })
    }

    fn admit(&self, now: Nanos) -> Result<Token, Refused> {
        let told = |change| self.told.lock().unwrap().push(change);
        self.gate.admit(&self.rules, || now, told)
    }

    fn settle(&self, token: Token, outcome: Outcome, now: Nanos) {
        let told = |change| self.told.lock().unwrap().push(change);
        self.gate
            .settle(&self.rules, token, outcome, || now, || 0.0, told);
    }

    fn fail(&self, now: Nanos) {
        if let Ok(token) = self.admit(now) {
            self.settle(token, FAILURE, now);
        }
    }

    fn state(&self) -> CircuitState {
        self.gate.state(0).0
    }

    /// What was told is one unbroken story that ends where the gate is.
    fn check(&self) {
        let told = self.told.lock().unwrap();
        let mut state = CircuitState::Closed;
        for change in &*told {
            assert_eq!(change.from, state);
            state = change.to;
        }
        assert_eq!(state, self.state());
    }
}

/// Runs both at once, in every order, and then the last.
fn both(
    world: impl Fn() -> Arc<World> + Send + Sync + 'static,
    one: fn(&World),
    other: fn(&World),
    then: fn(&World),
) {
    loom::model(move || {
        let world = world();
        let shared = Arc::clone(&world);
        let thread = thread::spawn(move || one(&shared));
        other(&world);
        thread.join().unwrap();
        world.check();
        then(&world);
    });
}

#[test]
fn two_failures_at_once_are_both_counted() {
    both(
        || World::new(2),
        |world| world.fail(0),
        |world| world.fail(0),
        |world| assert_eq!(world.state(), CircuitState::Open),
    );
}

#[test]
fn a_success_that_is_not_locked_for_is_before_or_after_the_failure() {
    both(
        || World::new(2),
        |world| world.fail(0),
        |world| {
            let token = world.admit(0).unwrap();
            world.settle(token, SUCCESS, 0);
        },
        |world| {
            assert_eq!(world.state(), CircuitState::Closed);
            // at least one more failure is needed, and two always do
            world.fail(0);
            world.fail(0);
            assert_eq!(world.state(), CircuitState::Open);
        },
    );
}

#[test]
fn once_open_is_seen_nothing_passes_until_its_time_is_over() {
    both(
        || World::new(1),
        |world| world.fail(0),
        |world| {
            let first = world.admit(5);
            if first.is_err() {
                assert!(world.admit(9).is_err());
            }
            // a late success does not close it again
            if let Ok(token) = first {
                world.settle(token, SUCCESS, 5);
            }
        },
        |world| {
            assert_eq!(world.state(), CircuitState::Open);
            assert_eq!(world.admit(9), Err(Refused::For(1)));
        },
    );
}

#[test]
fn of_two_callers_one_is_the_probe() {
    fn probe(world: &World) {
        if let Ok(token) = world.admit(10) {
            assert!(token.probe.is_some());
            assert!(world.admit(10).is_err(), "two probes are out");
            world.settle(token, FAILURE, 10);
        }
    }
    both(
        || {
            let world = World::new(1);
            world.fail(0);
            world
        },
        probe,
        probe,
        |world| {
            assert_eq!(world.state(), CircuitState::Open);
            // twice as long as the first time
            assert_eq!(world.admit(29), Err(Refused::For(1)));
        },
    );
}

#[test]
fn a_probe_that_closes_and_a_caller_who_comes_meanwhile() {
    both(
        || {
            let world = World::new(1);
            world.fail(0);
            world
        },
        |world| {
            if let Ok(token) = world.admit(10) {
                world.settle(token, SUCCESS, 10);
            }
        },
        |world| match world.admit(10) {
            Ok(token) => world.settle(token, SUCCESS, 10),
            Err(refused) => assert!(matches!(refused, Refused::Probing(_))),
        },
        |world| assert_eq!(world.state(), CircuitState::Closed),
    );
}

#[test]
fn no_more_calls_wait_than_there_are_places() {
    loom::model(|| {
        let places = Arc::new(Places::new());
        let other = {
            let places = Arc::clone(&places);
            thread::spawn(move || places.take(1))
        };
        let taken = places.take(1);
        let others = other.join().unwrap();
        assert!(taken ^ others, "one of the two has it");
        places.give_back();
        assert!(places.take(1) && !places.take(1));
    });
}

#[test]
fn a_last_resort_lets_through_exactly_its_share() {
    loom::model(|| {
        let known = Arc::new(Known::new());
        known.key_made(Kind::Key);
        known.count(Change {
            from: CircuitState::Closed,
            to: CircuitState::Open,
            open_for: None,
        });
        let rule = LastResort {
            open_percent: 50,
            share_percent: 50,
        };
        let other = {
            let known = Arc::clone(&known);
            thread::spawn(move || known.lets_through(rule))
        };
        let ours = known.lets_through(rule);
        assert!(ours ^ other.join().unwrap(), "every second call");
    });
}

#[test]
fn changes_of_two_circuits_at_once_are_both_counted() {
    let change = |from, to| Change {
        from,
        to,
        open_for: None,
    };
    loom::model(move || {
        let known = Arc::new(Known::new());
        known.key_made(Kind::Key);
        known.key_made(Kind::Key);
        known.count(change(CircuitState::Closed, CircuitState::Open));
        let other = {
            let known = Arc::clone(&known);
            thread::spawn(move || known.count(change(CircuitState::Closed, CircuitState::Open)))
        };
        known.count(change(CircuitState::HalfOpen, CircuitState::Closed));
        other.join().unwrap();
        let all = |open_percent| {
            known.lets_through(LastResort {
                open_percent,
                share_percent: 100,
            })
        };
        assert!(all(49) && !all(50), "one of two is open");
    });
}
