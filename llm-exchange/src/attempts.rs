//! One call's allowance of attempts.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use tokio::time::Instant;

use crate::{AskedModel, Bookkeeper, Call, Meter, Verdict};

/// How often one call may still be sent, and until when: one allowance over all retries and
/// fallback targets, so that R retries on each of F targets stay bounded by one number and one
/// deadline.
///
/// It is made when the request becomes a [`Payload`](crate::Payload) and shared by every copy of
/// it. The first attempt is free: a layer asks with [`again`](Self::again) before each *further*
/// attempt that it makes, so that stacked layers do not count one attempt twice.
#[derive(Clone, Default)]
pub struct Attempts(Arc<State>);

struct State {
    /// attempts begun, the first one included
    begun: AtomicU32,
    limit: AtomicU32,
    deadline: Mutex<Option<Instant>>,
    claimed: AtomicBool,
    left_behind: Mutex<Vec<LeftBehind>>,
    last_asked: Mutex<Option<AskedModel>>,
    watched_output: Mutex<Vec<u64>>,
    extenders: Mutex<Vec<Arc<dyn Extend>>>,
    bookkeeper: OnceLock<Arc<dyn Bookkeeper>>,
}

/// Asked before each further attempt whether it may be sent: who reserved something for the call
/// reserves for one attempt more.
pub trait Extend: Send + Sync {
    /// Whether an attempt may be sent. `running` has the models of all attempts that will run then: the
    /// new one's, and those of attempts beside it; `None` is the caller's own. Polled on the call's own
    /// task until it is ready, for each attempt that the allowance and the deadline would grant.
    ///
    /// It may be asked again for the same attempt, if something else refuses it or is waited for: what
    /// it has reserved by then is enough.
    fn poll_extend(&self, running: &[Option<&str>], cx: &mut Context<'_>) -> Poll<bool>;

    /// Whether it has nothing to say any more.
    fn is_over(&self) -> bool;
}

/// The most that are asked. More is no sensible stack.
const MOST_EXTENDERS: usize = 8;

/// An attempt that was given up for another: retried, fallen back from, hedged.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct LeftBehind {
    /// When it was given up.
    pub at: Instant,
    /// What it came to; of one that was hedged and lost [`Verdict::Outrun`].
    pub verdict: Verdict,
    /// What it used, as far as its answer was read. `None`: there was no answer, or none with
    /// anything in it; whether it was generated and will be billed is not known. Of one that nobody
    /// waited for any longer (timed out, outrun, its caller gone), the prompt most likely is.
    pub meter: Option<Meter>,
    /// The model that was asked.
    pub model: Option<Box<str>>,
    /// The host and port that it was sent to, where that is not the caller's.
    pub host: Option<Box<str>>,
}

/// The most numbers of tokens that are watched for in one call.
const MOST_WATCHED: usize = 16;

/// The most attempts of one call that are remembered. More is no sensible setting.
const MOST_LEFT_BEHIND: usize = 64;

impl Default for State {
    fn default() -> Self {
        Self {
            begun: AtomicU32::new(1),
            limit: AtomicU32::new(u32::MAX),
            deadline: Mutex::new(None),
            claimed: AtomicBool::new(false),
            left_behind: Mutex::default(),
            last_asked: Mutex::default(),
            watched_output: Mutex::default(),
            extenders: Mutex::default(),
            bookkeeper: OnceLock::new(),
        }
    }
}

/// The call may not be sent again: its allowance is used up or its deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMoreAttempts(());

impl fmt::Display for NoMoreAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call may not be sent again")
    }
}

impl std::error::Error for NoMoreAttempts {}

impl Attempts {
    /// Takes one further attempt from the allowance and returns its number, counted from 1 over the
    /// whole call; the second attempt is number 2. Who [reserves](Self::extend_with) for the call is
    /// waited for. `running` has the model that the attempt will ask for, and those of attempts that go on
    /// beside it (a hedge); `None` is the caller's own.
    ///
    /// # Errors
    ///
    /// [`NoMoreAttempts`]: then nothing may be sent, and nothing was taken.
    pub fn poll_again(
        &self,
        running: &[Option<&str>],
        cx: &mut Context<'_>,
    ) -> Poll<Result<u32, NoMoreAttempts>> {
        if !self.may_go_on() {
            return Poll::Ready(Err(NoMoreAttempts(())));
        }
        ready!(self.poll_extended(running, cx))?;
        let limit = self.0.limit.load(Ordering::Relaxed);
        let begun = self
            .0
            .begun
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |begun| {
                (begun < limit).then_some(begun + 1)
            });
        Poll::Ready(match begun {
            Ok(before) => Ok(before + 1),
            Err(_) => Err(NoMoreAttempts(())),
        })
    }

    /// The first attempt, which is free, will ask for another model than the caller did: whether what
    /// was reserved for the call is enough for that one, or can be made so.
    ///
    /// # Errors
    ///
    /// [`NoMoreAttempts`]: then it may not be sent.
    pub fn poll_instead(
        &self,
        model: Option<&str>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NoMoreAttempts>> {
        self.poll_extended(&[model], cx)
    }

    fn poll_extended(
        &self,
        running: &[Option<&str>],
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NoMoreAttempts>> {
        let extenders = lock(&self.0.extenders).clone();
        for extender in extenders {
            if !ready!(extender.poll_extend(running, cx)) {
                return Poll::Ready(Err(NoMoreAttempts(())));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// [`poll_again`](Self::poll_again) for the caller's own model, where nobody can wait: what would
    /// have to be waited for is refused.
    ///
    /// # Errors
    ///
    /// [`NoMoreAttempts`].
    pub fn again(&self) -> Result<u32, NoMoreAttempts> {
        match self.poll_again(&[None], &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(taken) => taken,
            Poll::Pending => Err(NoMoreAttempts(())),
        }
    }

    /// Whether the allowance and the deadline would grant an attempt now. Nothing is taken: ask so
    /// before a wait, and for the attempt itself after it. What the attempt would cost is looked at
    /// only then.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        !self.is_late() && self.count() < self.0.limit.load(Ordering::Relaxed)
    }

    fn is_late(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// How many attempts were begun so far, at least 1.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Allows at most this many attempts in all, the first included. A limit that is already lower
    /// stays.
    pub fn limit_to(&self, attempts: u32) {
        self.0.limit.fetch_min(attempts.max(1), Ordering::Relaxed);
    }

    /// When the call's time is up, if somebody said so.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        *lock(&self.0.deadline)
    }

    /// Lets no attempt start after this moment, and returns when the call's time is up now. A
    /// deadline that is already earlier stays.
    pub fn end_by(&self, deadline: Instant) -> Instant {
        let mut current = lock(&self.0.deadline);
        let earliest = current.map_or(deadline, |earlier| earlier.min(deadline));
        *current = Some(earliest);
        earliest
    }

    /// Remembers an attempt that is given up for another one, so that nothing it spent is lost to
    /// whoever keeps books further out. `sent` is the call as the attempt was sent it. The first 64 of a
    /// call are remembered.
    pub fn leave_behind(&self, sent: &Call, verdict: Verdict, meter: Option<Meter>) {
        let mut left = lock(&self.0.left_behind);
        if left.len() < MOST_LEFT_BEHIND {
            left.push(LeftBehind {
                at: Instant::now(),
                verdict,
                meter,
                model: sent.model().map(Into::into),
                host: sent.host().map(Into::into),
            });
        }
    }

    /// The attempts that were given up so far, the first one first.
    #[must_use]
    pub fn left_behind(&self) -> Vec<LeftBehind> {
        lock(&self.0.left_behind).clone()
    }

    /// An attempt is sent that asks for something else than the caller did, or goes elsewhere: for
    /// whoever keeps books of a call whose answer nobody waited for.
    pub fn asks(&self, sent: &Call) {
        *lock(&self.0.last_asked) = AskedModel::of(sent);
    }

    /// What the attempt that was sent last asks for, and where. `None`: what the caller did.
    #[must_use]
    pub fn last_asked(&self) -> Option<AskedModel> {
        lock(&self.0.last_asked).clone()
    }

    /// Tells this of each call that a layer further in makes by itself on this one's behalf
    /// ([`Call::set_aside`]). The outermost who keeps books is told, and nobody else.
    pub fn keep_books(&self, keeper: Arc<dyn Bookkeeper>) {
        let _ = self.0.bookkeeper.set(keeper);
    }

    pub(crate) fn bookkeeper(&self) -> Option<&Arc<dyn Bookkeeper>> {
        self.0.bookkeeper.get()
    }

    /// Asks this before each further attempt; a refusal is as if the allowance were used up. A layer
    /// that reserves for calls sets it; of several all are asked, up to eight.
    ///
    /// Who sends a call again says what it [left behind](Self::leave_behind) first, so that the
    /// extender knows what was spent.
    pub fn extend_with(&self, extender: Arc<dyn Extend>) {
        let mut extenders = lock(&self.0.extenders);
        extenders.retain(|extender| !extender.is_over());
        if extenders.len() < MOST_EXTENDERS {
            extenders.push(extender);
        }
    }

    /// Lets the meter of each further answer of this call note where it reaches so many output
    /// tokens, to the event: for whoever ends a stream there
    /// ([`Meter::reached`](crate::Meter::reached)). To be called before the call is sent; at most 16
    /// numbers are noted.
    pub fn watch_output(&self, tokens: u64) {
        let mut watched = lock(&self.0.watched_output);
        if watched.len() < MOST_WATCHED {
            watched.push(tokens);
        }
    }

    pub(crate) fn watched_output(&self) -> Vec<u64> {
        lock(&self.0.watched_output).clone()
    }

    /// True for the first layer that asks: the outermost of those that send calls again. It alone
    /// tells the caller `x-should-retry: false` when it gives up; a layer further in leaves the
    /// decision to it.
    #[must_use]
    pub fn claim(&self) -> bool {
        !self.0.claimed.swap(true, Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts")
            .field("count", &self.count())
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn the_second_attempt_is_number_two() {
        let attempts = Attempts::default();
        assert_eq!(attempts.count(), 1);
        assert_eq!(attempts.again(), Ok(2));
        assert_eq!(attempts.clone().again(), Ok(3));
        assert_eq!(attempts.count(), 3);
    }

    /// Grants so many, each when it is asked for the second time.
    struct Grants(AtomicU32, AtomicBool);

    impl Grants {
        fn new(grants: u32) -> Arc<Self> {
            Arc::new(Self(AtomicU32::new(grants), AtomicBool::new(true)))
        }
    }

    impl Extend for Grants {
        fn poll_extend(&self, _: &[Option<&str>], _: &mut Context<'_>) -> Poll<bool> {
            if self.1.fetch_xor(true, Ordering::Relaxed) {
                return Poll::Pending;
            }
            let left = self.0.load(Ordering::Relaxed);
            self.0.store(left.saturating_sub(1), Ordering::Relaxed);
            Poll::Ready(left > 0)
        }

        fn is_over(&self) -> bool {
            self.0.load(Ordering::Relaxed) == 0
        }
    }

    #[test]
    fn what_the_extender_refuses_is_not_sent_and_it_is_not_asked_for_what_the_allowance_refuses() {
        let attempts = Attempts::default();
        let cx = &mut Context::from_waker(Waker::noop());
        let extender = Grants::new(2);
        attempts.extend_with(extender.clone());
        // it would have to be waited for
        assert!(attempts.again().is_err());
        assert_eq!(attempts.count(), 1);
        assert_eq!(attempts.poll_again(&[None], cx), Poll::Ready(Ok(2)));
        attempts.limit_to(2);
        assert!(attempts.poll_again(&[None], cx).is_ready());
        assert_eq!(extender.0.load(Ordering::Relaxed), 1, "not asked");
        assert!(attempts.poll_instead(None, cx).is_pending());
        assert_eq!(attempts.poll_instead(None, cx), Poll::Ready(Ok(())));
        let refused = Attempts::default();
        refused.extend_with(extender);
        assert!(refused.poll_again(&[None], cx).is_pending());
        assert!(matches!(
            refused.poll_again(&[None], cx),
            Poll::Ready(Err(NoMoreAttempts(())))
        ));
        assert!(refused.may_go_on());
        assert_eq!(refused.count(), 1);
    }

    #[test]
    fn all_extenders_are_asked_but_those_that_are_over_make_room() {
        let attempts = Attempts::default();
        for _ in 0..20 {
            attempts.extend_with(Grants::new(0));
        }
        attempts.extend_with(Grants::new(1));
        attempts.extend_with(Grants::new(1));
        assert_eq!(lock(&attempts.0.extenders).len(), 2);
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(attempts.poll_again(&[None], cx).is_pending());
        assert!(attempts.poll_again(&[None], cx).is_pending());
    }

    #[test]
    fn many_threads_together_never_pass_the_limit() {
        let attempts = Attempts::default();
        attempts.limit_to(100);
        attempts.limit_to(200);
        assert!(attempts.may_go_on());
        let granted: usize = thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..50).filter(|_| attempts.again().is_ok()).count()))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(granted, 99);
        assert!(!attempts.may_go_on());
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_starts_after_the_earliest_deadline() {
        let attempts = Attempts::default();
        let start = Instant::now();
        attempts.end_by(start + Duration::from_secs(2));
        attempts.end_by(start + Duration::from_secs(9));
        assert_eq!(attempts.deadline(), Some(start + Duration::from_secs(2)));
        assert!(attempts.may_go_on());
        assert_eq!(attempts.again(), Ok(2));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!attempts.may_go_on());
        assert!(attempts.again().is_err());
        assert_eq!(attempts.count(), 2);
    }

    #[test]
    fn only_the_first_layer_is_the_outermost() {
        let attempts = Attempts::default();
        assert!(attempts.claim());
        assert!(!attempts.clone().claim());
    }
}
