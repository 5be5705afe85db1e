//! Many callers at once.

use std::sync::Arc;

use budget_layer::store::{MemoryStore, Reserved, Store};
use tokio::sync::Barrier;

use crate::world::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_tasks_exactly_as_many_are_admitted_as_the_limit_has_calls() {
    let store = MemoryStore::new();
    let barrier = Arc::new(Barrier::new(1_000));
    let tasks: Vec<_> = (0..1_000)
        .map(|task| {
            let (store, barrier) = (store.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                let claims = [
                    claim("all", "", window(0), 500 * 7, 7),
                    claim("user", &format!("u{}", task % 10), window(1), 1_000_000, 7),
                    claim("key", &format!("k{}", task % 3), window(3), 1_000_000, 7),
                ];
                barrier.wait().await;
                match store.reserve(&claims).await.unwrap() {
                    Reserved::Granted(grant) => {
                        store.settle(grant.reservation, &[7, 7, 7]);
                        1
                    }
                    _ => 0,
                }
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    assert_eq!(admitted, 500);
    let sum = |limit: &'static str, owners: u64, kind: usize| {
        let store = store.clone();
        async move {
            let mut sum = 0;
            for owner in 0..owners {
                let owner = format!("{}{owner}", &limit[..1]);
                let standing = read(&store, &claim(limit, &owner, window(kind), 1, 0)).await;
                assert_eq!(standing.reserved, 0);
                sum += standing.used;
            }
            sum
        }
    };
    // who was refused by the limit of all reserved nothing of the others
    assert_eq!(sum("user", 10, 1).await, 3_500);
    assert_eq!(sum("key", 3, 3).await, 3_500);
}

#[tokio::test]
async fn a_store_that_is_full_forgets_nothing_that_was_used() {
    let hand = Hand::new();
    let store = MemoryStore::max_scopes(64).clock(hand.clock());
    let owner = |n: usize| claim("day", &format!("u{n}"), window(0), 100, 60);
    let mut known = Vec::new();
    for n in 0..1_000 {
        if let Ok(Reserved::Granted(grant)) = store.reserve(&[owner(n)]).await {
            store.settle(grant.reservation, &[60]);
            known.push(n);
        }
    }
    assert!(known.len() <= 64, "{}", known.len());
    for n in &known {
        assert_eq!(read(&store, &owner(*n)).await.used, 60);
    }
    // a day later there is room for others
    hand.advance(DAY);
    let mut others = 0;
    for n in 1_000..2_000 {
        others += usize::from(store.reserve(&[owner(n)]).await.is_ok());
    }
    assert!(others > 0);
}
