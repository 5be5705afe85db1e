//! One key's gate: who goes, who waits, and who goes first when it opens.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use llm_exchange::RateLimit;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{
    settings::Settings,
    view::{Opening, View},
};

/// So long the others stay behind the first call if its answer has not come: a throttled one comes
/// sooner.
const HEAD_START: Duration = Duration::from_secs(1);
/// When the gate opens, waiting calls follow over so much time for each of them,
const APART: Duration = Duration::from_millis(20);
/// and over this at most.
const MOST_APART: Duration = Duration::from_secs(2);

/// The gate of one key.
pub(crate) struct Gate {
    pub(crate) authority: Box<str>,
    pub(crate) model: Option<Box<str>>,
    state: Mutex<State>,
    /// Something changed for those who wait.
    moved: Notify,
}

#[derive(Default)]
struct State {
    view: View,
    waiting: usize,
    first: First,
    /// Calls smaller than this need nobody to go first.
    least: u64,
    /// Numbers the calls that went first.
    numbers: u64,
}

/// Who goes first.
#[derive(Clone, Copy, Default, PartialEq)]
enum First {
    /// Nobody has to: calls pass.
    #[default]
    Nobody,
    /// The next call that may pass.
    Next,
    /// This one went.
    Went { number: u64, at: Instant },
}

enum Asked {
    Pass(Pass),
    /// It would surely be throttled before then.
    Closed(Opening),
    /// One has gone first, and is to be waited for until then.
    Behind(Instant),
    /// It may pass after those before it.
    Follow,
}

/// A call may be sent. Dropped before anything was heard of it, another goes first in its place.
pub(crate) struct Pass(Option<(Arc<Gate>, u64)>);

impl Pass {
    /// Of a call that nothing depends on.
    pub(crate) const fn free() -> Self {
        Self(None)
    }

    /// The head of its answer is here.
    pub(crate) fn heard(mut self) {
        if let Some((gate, number)) = self.0.take() {
            gate.first_is_over(number, First::Nobody);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some((gate, number)) = self.0.take() {
            gate.first_is_over(number, First::Next);
        }
    }
}

/// Boxed: only a call that waits is one of these.
pub(crate) type Wait = Pin<Box<dyn Future<Output = Result<Pass, Duration>> + Send>>;

/// What becomes of a call.
pub(crate) enum Turn {
    Pass(Pass),
    Wait(Wait),
    /// It would surely be throttled for so long.
    Refuse(Duration),
}

impl Gate {
    pub(crate) fn new(authority: Box<str>, model: Option<Box<str>>) -> Self {
        Self {
            authority,
            model,
            state: Mutex::default(),
            moved: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of this size was throttled.
    pub(crate) fn throttled(&self, now: Instant, asked: Duration, size: u64, all: bool) {
        let mut state = self.state();
        state.view.throttled(now, asked, size, all);
        let least = if all { 0 } else { size };
        state.least = match state.first {
            First::Nobody => least,
            First::Next | First::Went { .. } => state.least.min(least),
        };
        state.first = First::Next;
    }

    /// An answer told of its limits.
    pub(crate) fn told(
        &self,
        now: Instant,
        limits: impl Iterator<Item = RateLimit>,
        at_most: Duration,
    ) {
        let mut state = self.state();
        state.view.told(now, limits, at_most);
        let closed = state.view.opens(0, now);
        if state.first == First::Nobody && closed.is_some_and(|opening| !opening.is_paced) {
            state.least = 0;
            state.first = First::Next;
        }
        drop(state);
        // it may say that there is something left
        self.moved.notify_waiters();
    }

    /// Forgets what was told.
    pub(crate) fn open(&self) {
        let mut state = self.state();
        state.view = View::default();
        state.first = First::Nobody;
        drop(state);
        self.moved.notify_waiters();
    }

    /// In which time the smallest call may pass, and how many wait.
    pub(crate) fn standing(&self, now: Instant) -> (Option<Duration>, usize) {
        let state = self.state();
        let opens = state.view.opens(0, now);
        let opens = opens.map(|opening| opening.at.saturating_duration_since(now));
        (opens, state.waiting)
    }

    /// Whether nothing would be different without it.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let state = self.state();
        let gone = match state.first {
            First::Went { at, .. } => now >= at + HEAD_START,
            First::Nobody | First::Next => true,
        };
        gone && state.waiting == 0 && state.view.opens(u64::MAX, now).is_none()
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.state().waiting > 0
    }

    /// `follows`: the call waited for the gate to open, and has not let those before it go yet.
    fn ask(self: &Arc<Self>, size: u64, now: Instant, follows: bool) -> Asked {
        let mut state = self.state();
        if let Some(opening) = state.view.opens(size, now) {
            return Asked::Closed(opening);
        }
        let is_first = match state.first {
            First::Went { at, .. } if size >= state.least && now < at + HEAD_START => {
                return Asked::Behind(at + HEAD_START);
            }
            First::Went { at, .. } => {
                if now >= at + HEAD_START {
                    state.first = First::Nobody;
                    self.moved.notify_waiters();
                }
                false
            }
            First::Nobody => false,
            First::Next => size >= state.least,
        };
        if follows && !is_first {
            return Asked::Follow;
        }
        state.view.sent(size);
        if !is_first {
            return Asked::Pass(Pass::free());
        }
        state.numbers += 1;
        let number = state.numbers;
        state.first = First::Went { number, at: now };
        Asked::Pass(Pass(Some((Arc::clone(self), number))))
    }

    /// Only of the call that is first still: another answer may have closed the gate since.
    fn first_is_over(&self, number: u64, then: First) {
        let mut state = self.state();
        if matches!(state.first, First::Went { number: of, .. } if of == number) {
            state.first = then;
            drop(state);
            self.moved.notify_waiters();
        }
    }

    /// What becomes of a call of this size.
    pub(crate) fn turn(
        self: &Arc<Self>,
        size: u64,
        settings: &Settings,
        deadline: Option<Instant>,
    ) -> Turn {
        let now = Instant::now();
        let own = now.checked_add(settings.max_wait);
        let until = [own, deadline].into_iter().flatten().min();
        let is_late = |then: Instant| until.is_some_and(|until| then >= until);
        let asked = self.ask(size, now, false);
        match &asked {
            Asked::Closed(opening) if is_late(opening.at) => {
                return Turn::Refuse(opening.at - now);
            }
            // it may pass, for all that is known
            Asked::Behind(_) if is_late(now) => return Turn::Pass(Pass::free()),
            _ => {}
        }
        let place = match asked {
            Asked::Pass(pass) => return Turn::Pass(pass),
            _ => Place::take(self, settings.max_waiters),
        };
        match (place, asked) {
            (Some(place), _) => Turn::Wait(Box::pin(wait(place, size, until))),
            (None, Asked::Closed(opening)) => Turn::Refuse(opening.at - now),
            // sent, it would overtake those that wait
            (None, Asked::Behind(then)) => Turn::Refuse(then - now),
            (None, _) => Turn::Pass(Pass::free()),
        }
    }
}

/// Waits until the call may pass, or it is known that it can't in time.
async fn wait(place: Place, size: u64, until: Option<Instant>) -> Result<Pass, Duration> {
    let gate = &place.0;
    let is_late = |then: Instant| until.is_some_and(|until| then >= until);
    let mut follows = false;
    loop {
        // listens before it asks, polled or not: a change in between is not missed
        let mut moved = pin!(gate.moved.notified());
        let now = Instant::now();
        let wake = match gate.ask(size, now, follows) {
            Asked::Pass(pass) => return Ok(pass),
            Asked::Follow => {
                follows = false;
                follow(gate, now, until).await;
                continue;
            }
            Asked::Closed(opening) if is_late(opening.at) => return Err(opening.at - now),
            Asked::Closed(opening) => {
                // who has its own moment follows nobody
                follows = !opening.is_paced;
                opening.at
            }
            Asked::Behind(_) if is_late(now) => return Ok(Pass::free()),
            Asked::Behind(then) => {
                follows = true;
                until.map_or(then, |until| then.min(until))
            }
        };
        let mut sleep = pin!(sleep_until(wake));
        poll_fn(|cx| match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => moved.as_mut().poll(cx),
        })
        .await;
    }
}

/// The others follow the first one, not all at once.
async fn follow(gate: &Gate, now: Instant, until: Option<Instant>) {
    let waiting = u32::try_from(gate.state().waiting).unwrap_or(u32::MAX);
    let over = APART.saturating_mul(waiting).min(MOST_APART);
    let over = until.map_or(over, |until| over.min(until.saturating_duration_since(now)));
    sleep(over.mul_f64(fastrand::f64())).await;
}

/// One of the bounded number of places in which calls wait; given back when dropped.
struct Place(Arc<Gate>);

impl Place {
    fn take(gate: &Arc<Gate>, most: usize) -> Option<Self> {
        let mut state = gate.state();
        if state.waiting >= most {
            return None;
        }
        state.waiting += 1;
        Some(Self(Arc::clone(gate)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}
