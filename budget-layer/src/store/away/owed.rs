//! What was spent while the store was away.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    account::MOST,
    store::{Claim, Scope},
};

/// Sums by scope, with a place for each scope of each running call, so that nothing of what it will
/// have spent is lost.
#[derive(Debug)]
pub(super) struct Owed {
    most: usize,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    sums: HashMap<Scope, Claim>,
    /// Kept for calls that run.
    places: usize,
}

impl Owed {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            books: Mutex::default(),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps places for a call. False: there are none left.
    pub(super) fn keep(&self, places: usize) -> bool {
        let mut books = self.books();
        let free = self.most.saturating_sub(books.sums.len() + books.places);
        if free < places {
            return false;
        }
        books.places += places;
        true
    }

    /// A call has ended: adds what it used of each scope in the places that were kept for it.
    pub(super) fn add(&self, claims: &[Claim], used: &[u64]) {
        let mut books = self.books();
        books.places = books.places.saturating_sub(claims.len());
        for (claim, used) in claims.iter().zip(used) {
            if *used == 0 {
                continue;
            }
            let sum = books
                .sums
                .entry(claim.scope.clone())
                .or_insert_with(|| Claim {
                    least: 0,
                    ..claim.clone()
                });
            sum.least = sum.least.saturating_add(*used).min(MOST);
            sum.most = sum.least;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.books().sums.is_empty()
    }

    pub(super) fn scopes(&self) -> usize {
        self.books().sums.len()
    }

    /// All of it, to be booked.
    pub(super) fn take(&self) -> Vec<Claim> {
        let sums = mem::take(&mut self.books().sums);
        sums.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Window;

    fn claim(owner: &str) -> Claim {
        Claim::new(
            Scope::new("day".into(), owner.into()),
            Window::total(),
            100,
            10,
        )
    }

    #[test]
    fn what_calls_used_is_summed_by_scope() {
        let owed = Owed::new(10);
        for used in [[3, 0], [4, 5]] {
            assert!(owed.keep(2));
            owed.add(&[claim("a"), claim("b")], &used);
        }
        let mut sums: Vec<_> = owed
            .take()
            .into_iter()
            .map(|claim| (claim.scope.owner().to_owned(), claim.least))
            .collect();
        sums.sort();
        assert_eq!(sums, [("a".into(), 7), ("b".into(), 5)]);
        assert!(owed.is_empty());
    }

    #[test]
    fn a_call_for_which_there_is_no_place_is_told_before_it_is_made() {
        let owed = Owed::new(3);
        assert!(owed.keep(2));
        assert!(!owed.keep(2));
        owed.add(&[claim("a"), claim("b")], &[1, 0]);
        assert!(owed.keep(2));
        assert!(!owed.keep(1));
        // a call that was not made gives its places back
        owed.add(&[claim("c"), claim("d")], &[]);
        owed.take();
        assert!(owed.keep(3));
    }
}
