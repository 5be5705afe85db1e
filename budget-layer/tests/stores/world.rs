//! A store with a clock of its own, and what the tests of all stores need.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use budget_layer::store::{Claim, MemoryStore, Scope, Standing, Store};
use budget_layer::{Window, Zone};
use llm_exchange::WallClock;

pub const HOUR: u64 = 3_600_000;
pub const DAY: u64 = 24 * HOUR;

/// One hour into a day, as far from every boundary as a test's own time could carry it over.
pub const START: u64 = 20_790 * DAY + HOUR;

/// Where a store lives: its time can be moved on, and its process can die.
pub trait World {
    type Store: Store;
    fn store(&self) -> &Self::Store;
    fn advance(&mut self, millis: u64);
    /// The process dies with all of its reservations, and comes again when these have lapsed.
    async fn crash(&mut self);
    /// Everything that has ended is booked.
    async fn settled(&self);
}

/// A clock that the test moves.
#[derive(Clone, Default)]
pub struct Hand(Arc<AtomicU64>);

impl Hand {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    pub fn advance(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }

    pub fn clock(&self) -> WallClock {
        let now = Arc::clone(&self.0);
        WallClock::from_fn(Arc::new(move || {
            SystemTime::UNIX_EPOCH + Duration::from_millis(now.load(Ordering::Relaxed))
        }))
    }
}

/// The memory store with its snapshot.
pub struct InMemory {
    store: MemoryStore,
    hand: Hand,
    folder: Folder,
}

impl InMemory {
    pub fn new() -> Self {
        let (hand, folder) = (Hand::new(), Folder::new());
        Self {
            store: Self::open(&hand, &folder),
            hand,
            folder,
        }
    }

    fn open(hand: &Hand, folder: &Folder) -> MemoryStore {
        MemoryStore::new()
            .clock(hand.clock())
            .with_snapshot(folder.path("accounts"))
            .unwrap()
    }
}

impl World for InMemory {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.store
    }

    fn advance(&mut self, millis: u64) {
        self.hand.advance(millis);
    }

    async fn crash(&mut self) {
        // the last snapshot is of now
        drop(std::mem::take(&mut self.store));
        self.store = Self::open(&self.hand, &self.folder);
    }

    async fn settled(&self) {}
}

/// A folder that goes with the test.
pub struct Folder(std::path::PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("budget-layer-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The window number so much of the four kinds.
pub fn window(kind: usize) -> Window {
    match kind {
        0 => Window::day(&Zone::UTC),
        1 => Window::month(&Zone::UTC),
        // parts of four hours
        2 => Window::rolling(Duration::from_millis(10 * DAY)),
        _ => Window::total(),
    }
}

pub fn claim(limit: &str, owner: &str, window: Window, most: u64, amount: u64) -> Claim {
    Claim::new(Scope::new(limit.into(), owner.into()), window, most, amount)
}

pub async fn read<S: Store>(store: &S, claim: &Claim) -> Standing {
    let standings = store.read(std::slice::from_ref(claim)).await.unwrap();
    standings[0]
}
