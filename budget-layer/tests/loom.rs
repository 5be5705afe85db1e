//! The memory store's admission, in every order that two threads can take.
//!
//! The crate's own files, compiled with loom's lock in place of the standard library's.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, missing_docs)]

#[path = "../src/account.rs"]
mod account;
#[path = "../src/admission.rs"]
mod admission;
#[path = "../src/store/claim.rs"]
mod claim;
#[path = "../src/store/memory/shards.rs"]
mod shards;
#[path = "../src/window.rs"]
mod window;

mod sync {
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

mod store {
    pub(crate) use crate::claim::*;
}

use loom::{sync::Arc, thread};

use crate::{
    shards::{Entry, Shards},
    store::{Claim, Reserved, Scope},
    window::Window,
};

const NOW: u64 = 5;

fn claim(limit: &str, owner: &str, most: u64) -> Claim {
    let scope = Scope::new(limit.into(), owner.into());
    Claim::new(scope, Window::total(), most, 7)
}

/// Of two owners, so that they lie behind different locks most of the time, in either order.
fn one_for_all_and_one(owner: &str, turned: bool) -> [Claim; 2] {
    let mut claims = [claim("all", "", 7), claim("user", owner, 1_000)];
    if turned {
        claims.reverse();
    }
    claims
}

fn admits(shards: &Shards, claims: &[Claim]) -> bool {
    matches!(shards.reserve(claims, NOW), Ok(Reserved::Granted(_)))
}

fn settle(shards: &Shards, claims: &[Claim]) {
    let entry = |claim: &Claim| Entry {
        scope: claim.scope.clone(),
        window: claim.window.clone(),
        amount: 7,
    };
    let entries: Vec<_> = claims.iter().map(entry).collect();
    shards.settle(&entries, &[5, 5], NOW);
}

/// Used and reserved.
fn standing(shards: &Shards, claim: &Claim) -> (u64, u64) {
    let standing = shards.read(std::slice::from_ref(claim), NOW)[0];
    (standing.used, standing.reserved)
}

/// Runs both at once, in every order, and then the last.
fn both<T: 'static>(
    one: fn(&Shards) -> T,
    other: fn(&Shards) -> T,
    then: impl Fn(&Shards, T, T) + Sync + Send + 'static,
) {
    loom::model(move || {
        let shards = Arc::new(Shards::new(1_000));
        let shared = Arc::clone(&shards);
        let thread = thread::spawn(move || one(&shared));
        let other = other(&shards);
        let one = thread.join().unwrap();
        then(&shards, one, other);
    });
}

#[test]
fn of_two_calls_for_one_place_one_is_admitted_and_the_other_reserves_nowhere() {
    both(
        |shards| admits(shards, &one_for_all_and_one("alice", false)),
        |shards| admits(shards, &one_for_all_and_one("bob", true)),
        |shards, alice, bob| {
            assert!(alice != bob);
            assert_eq!(standing(shards, &claim("all", "", 7)), (0, 7));
            let reserved = |admitted| if admitted { 7 } else { 0 };
            for (owner, admitted) in [("alice", alice), ("bob", bob)] {
                let user = standing(shards, &claim("user", owner, 1_000));
                assert_eq!(user, (0, reserved(admitted)));
            }
        },
    );
}

#[test]
fn what_is_settled_makes_room_for_exactly_what_was_not_used() {
    both(
        |shards| {
            let claims = one_for_all_and_one("alice", false);
            let admitted = admits(shards, &claims);
            if admitted {
                settle(shards, &claims);
            }
            admitted
        },
        |shards| {
            let claims = one_for_all_and_one("bob", true);
            let admitted = admits(shards, &claims);
            if admitted {
                settle(shards, &claims);
            }
            admitted
        },
        |shards, alice, bob| {
            // 5 of 7 are used by whoever was first, which leaves too little for the other
            assert!(alice != bob);
            assert_eq!(standing(shards, &claim("all", "", 7)), (5, 0));
        },
    );
}

#[test]
fn a_change_is_saved_or_is_still_to_be_saved() {
    both(
        |shards| {
            shards.charge(&one_for_all_and_one("alice", false), NOW);
            0
        },
        |shards| {
            let mut saved = 0;
            shards.each(NOW, |_, account| saved += account.used());
            saved
        },
        |shards, _, saved| {
            assert!(saved == 14 || shards.is_dirty(), "{saved}");
            let mut all = 0;
            shards.each(NOW, |_, account| all += account.used());
            assert_eq!((all, shards.is_dirty()), (14, false));
        },
    );
}
