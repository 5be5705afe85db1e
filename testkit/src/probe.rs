//! Watches that a layer is honest about readiness.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tower_service::Service;

use crate::lock;

/// A service that panics when it is called without having been polled ready, on that very instance.
///
/// A clone starts unready, and one readiness is good for one call. After an error of `poll_ready` the
/// instance is dead, as `Service` says, and panics when it is used again. The setters make it a
/// difficult service: slow to become ready, ready only so many times, failing. Set them before the
/// first clone is made.
///
/// `E` is the error of the inner service and is inferred.
///
/// ```
/// use std::{convert::Infallible, future::{Ready, poll_fn, ready}, task::{Context, Poll}};
/// use testkit::Probe;
/// use tower_service::Service;
///
/// struct Echo;
/// impl Service<&'static str> for Echo {
///     type Response = &'static str;
///     type Error = Infallible;
///     type Future = Ready<Result<&'static str, Infallible>>;
///     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
///         Poll::Ready(Ok(()))
///     }
///     fn call(&mut self, text: &'static str) -> Self::Future { ready(Ok(text)) }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut service = Probe::new(Echo).pending(2);
/// let seen = service.handle();
///
/// poll_fn(|cx| service.poll_ready(cx)).await.unwrap(); // without this line the call panics
/// assert_eq!(service.call("hi").await, Ok("hi"));
/// assert_eq!((seen.grants(), seen.calls(), seen.unused()), (1, 1, 0));
/// # }
/// ```
pub struct Probe<S, E> {
    inner: S,
    state: State,
    pending: u32,
    pending_left: u32,
    errors: Arc<Mutex<VecDeque<E>>>,
    handle: ProbeHandle,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Unready,
    Ready,
    Dead,
}

/// Counts over a [`Probe`] and all its clones.
#[derive(Clone, Debug)]
pub struct ProbeHandle(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    calls: usize,
    clones: usize,
    grants: usize,
    unused: usize,
    grants_left: usize,
}

impl<S, E> Probe<S, E> {
    /// Watches `inner`; as ready as `inner` is.
    pub fn new(inner: S) -> Self {
        let counts = Counts {
            calls: 0,
            clones: 0,
            grants: 0,
            unused: 0,
            grants_left: usize::MAX,
        };
        Self {
            inner,
            state: State::Unready,
            pending: 0,
            pending_left: 0,
            errors: Arc::default(),
            handle: ProbeHandle(Arc::new(Mutex::new(counts))),
        }
    }

    /// Before each readiness, each instance is pending this many times (and wakes at once).
    /// Default 0.
    #[must_use]
    pub fn pending(mut self, times: u32) -> Self {
        self.pending = times;
        self.pending_left = times;
        self
    }

    /// The readiness of all instances together is granted at most this many times, then they are
    /// pending for ever: 1 is "never ready twice", 0 "never ready". Default: no limit.
    #[must_use]
    pub fn ready_times(self, times: usize) -> Self {
        lock(&self.handle.0).grants_left = times;
        self
    }

    /// One `poll_ready`, of whichever instance comes first, fails with this error instead of being
    /// granted. Given several times, as many fail. Default: none.
    #[must_use]
    pub fn fail_ready(self, error: impl Into<E>) -> Self {
        lock(&self.errors).push_back(error.into());
        self
    }

    /// The counts, also after the probe was moved into a layer.
    pub fn handle(&self) -> ProbeHandle {
        self.handle.clone()
    }
}

impl<S, R, E> Service<R> for Probe<S, E>
where
    S: Service<R, Error = E>,
{
    type Response = S::Response;
    type Error = E;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        match self.state {
            State::Ready => return Poll::Ready(Ok(())),
            State::Dead => panic!("Probe: polled again after its poll_ready failed"),
            State::Unready => {}
        }
        if self.pending_left > 0 {
            self.pending_left -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(error) = lock(&self.errors).pop_front() {
            self.state = State::Dead;
            return Poll::Ready(Err(error));
        }
        if lock(&self.handle.0).grants_left == 0 {
            return Poll::Pending;
        }
        let ready = self.inner.poll_ready(cx);
        match ready {
            Poll::Ready(Ok(())) => {
                self.state = State::Ready;
                self.pending_left = self.pending;
                let mut counts = lock(&self.handle.0);
                counts.grants += 1;
                counts.grants_left -= 1;
            }
            Poll::Ready(Err(_)) => self.state = State::Dead,
            Poll::Pending => {}
        }
        ready
    }

    fn call(&mut self, request: R) -> S::Future {
        match self.state {
            State::Ready => self.state = State::Unready,
            State::Dead => panic!("Probe: called after its poll_ready failed"),
            State::Unready => panic!(
                "Probe: called without readiness: this instance was not polled ready since it was \
                 made, cloned or last called"
            ),
        }
        lock(&self.handle.0).calls += 1;
        self.inner.call(request)
    }
}

impl<S: Clone, E> Clone for Probe<S, E> {
    fn clone(&self) -> Self {
        lock(&self.handle.0).clones += 1;
        Self {
            inner: self.inner.clone(),
            // Nobody has polled the clone.
            state: State::Unready,
            pending: self.pending,
            pending_left: self.pending,
            errors: self.errors.clone(),
            handle: self.handle.clone(),
        }
    }
}

impl<S, E> Drop for Probe<S, E> {
    fn drop(&mut self) {
        if self.state == State::Ready {
            lock(&self.handle.0).unused += 1;
        }
    }
}

impl<S, E> fmt::Debug for Probe<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("state", &self.state)
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

impl ProbeHandle {
    /// How many calls went through.
    pub fn calls(&self) -> usize {
        lock(&self.0).calls
    }

    /// How many clones were made.
    pub fn clones(&self) -> usize {
        lock(&self.0).clones
    }

    /// How many times an instance became ready; asking a ready one again is not counted.
    pub fn grants(&self) -> usize {
        lock(&self.0).grants
    }

    /// How many instances were dropped while ready: a permit that nobody used.
    pub fn unused(&self) -> usize {
        lock(&self.0).unused
    }
}
