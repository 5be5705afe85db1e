//! What becomes of an answer whose caller has gone.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http_body::Body;
use tokio::{runtime::Handle, time::timeout};

use crate::tell;

/// What is done with the rest `U` of an answer whose caller has gone: `()` lets it go at once,
/// [`Drain`] reads on for a while. It cannot be implemented elsewhere.
pub trait Abandon<U>: sealed::Sealed {
    /// The caller has gone.
    fn abandon(&self, upstream: U);
}

mod sealed {
    #[allow(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for super::Drain {}
}

impl<U> Abandon<U> for () {
    fn abandon(&self, _: U) {}
}

/// The most answers of one layer that are read on at a time; a further one is let go.
const MOST: usize = 1024;

/// Reads on, so that the provider's usage is learnt; see [`SseLayer::drain`](crate::SseLayer::drain).
#[derive(Clone, Debug)]
pub struct Drain {
    most: Duration,
    running: Arc<AtomicUsize>,
}

impl Drain {
    pub(super) fn new(most: Duration) -> Self {
        Self {
            most,
            running: Arc::default(),
        }
    }
}

/// One of those that are running.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn begin(running: &Arc<AtomicUsize>) -> Option<Self> {
        let one_more = |count| (count < MOST).then_some(count + 1);
        running.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(Self(Arc::clone(running)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl<U> Abandon<U> for Drain
where
    U: Body + Unpin + Send + 'static,
    U::Data: Send,
{
    fn abandon(&self, mut upstream: U) {
        // outside of a runtime there is nobody who could read on
        let (Ok(runtime), Some(running)) = (Handle::try_current(), Running::begin(&self.running))
        else {
            return;
        };
        let most = self.most;
        runtime.spawn(async move {
            let to_the_end = async {
                loop {
                    match poll_fn(|cx| Pin::new(&mut upstream).poll_frame(cx)).await {
                        Some(Ok(_)) => {}
                        Some(Err(_)) => return false,
                        None => return true,
                    }
                }
            };
            let whole = timeout(most, to_the_end).await.unwrap_or(false);
            tell::drained(whole);
            drop(running);
        });
    }
}
