use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Where the time of day comes from.
///
/// Durations are measured with tokio's clock, which a test can pause. Dates (a `retry-after` that
/// names a day, the start of a budget's month) need the time of day, and take it from here so that
/// a test can set it.
///
/// The default is the system clock.
///
/// ```
/// use llm_exchange::WallClock;
/// use std::time::{Duration, SystemTime};
///
/// let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_435_200);
/// assert_eq!(WallClock::fixed(noon).now(), noon);
/// ```
#[derive(Clone, Default)]
pub struct WallClock(Option<Arc<dyn Fn() -> SystemTime + Send + Sync>>);

impl WallClock {
    /// A clock that stands still at `time`.
    pub fn fixed(time: SystemTime) -> Self {
        Self::from_fn(Arc::new(move || time))
    }

    /// A clock that asks `now`; it is called once for each reading and should not block.
    pub fn from_fn(now: Arc<dyn Fn() -> SystemTime + Send + Sync>) -> Self {
        Self(Some(now))
    }

    /// The time of day.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the system is asked"
    )]
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Some(now) => now(),
            None => SystemTime::now(),
        }
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WallClock")
            .field(&if self.0.is_some() { "given" } else { "system" })
            .finish()
    }
}
