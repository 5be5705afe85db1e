//! Test aids for the layer crates of this workspace; not published, and it knows none of them.
//!
//! | for | use |
//! |---|---|
//! | an upstream that answers by a script, and remembers what it was asked | [`Script`], [`Answer`] |
//! | a body given frame by frame | [`ScriptedBody`], [`Watch`] |
//! | "the instance that was polled ready is the one called" | [`Probe`] |
//! | "dropped at any await point, settled exactly once" | [`drop_everywhere`] |
//! | a real server, started by the test | [`TestServer`] |
//! | the HTTP-shaped call of the benches | [`shaped`] |
//! | "this path allocates n times" | `alloc::count`, with the feature `count-allocations` |
//! | criterion's results as one plain table | `cargo run -p testkit --bin bench-table` |
//!
//! Everything that waits uses tokio's clock: write tests with `#[tokio::test(start_paused = true)]`.
//! What is recorded is kept until the last clone is dropped; nothing here is meant for production.

#[cfg(feature = "count-allocations")]
pub mod alloc;
mod answer;
mod body;
mod everywhere;
mod probe;
mod script;
mod server;
pub mod shaped;
mod watch;

pub use self::{
    answer::Answer,
    body::ScriptedBody,
    everywhere::{DroppedAt, Point, drop_everywhere},
    probe::{Probe, ProbeHandle},
    script::{Calling, Script, Seen},
    server::TestServer,
    watch::Watch,
};

/// The error type of bodies and services, unless a test chooses another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A test may have panicked with the lock held; what was counted until then is still worth reading.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
