//! The clocks of one attempt, running.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    clocks::{Answer, Clocks, Progress},
    cut::Why,
    settings::{Clock, Timeouts},
    woken::Woken,
};

/// The clocks of one attempt and the one timer for all of them.
pub(crate) struct Running {
    timeouts: Arc<Timeouts>,
    clocks: Clocks,
    /// Armed lazily: it stays where it is when something comes, and is set anew when it fires too
    /// early. Boxed, so that the body is `Unpin`.
    timer: Option<Pin<Box<Sleep>>>,
    /// Made with the first wait for a body.
    woken: Option<Woken>,
    /// When the upstream woke the reader for the poll that is under way.
    woken_at: Option<Instant>,
}

/// A reader who comes so long after it was woken was elsewhere meanwhile.
const ELSEWHERE: Duration = Duration::from_secs(1);

impl Running {
    pub(crate) fn new(timeouts: Arc<Timeouts>, stream: bool) -> Self {
        Self {
            timeouts,
            clocks: Clocks::new(stream),
            timer: None,
            woken: None,
            woken_at: None,
        }
    }

    /// Something came.
    #[inline]
    pub(crate) fn came(&mut self) {
        let woken_at = self.woken_at.take();
        self.clocks
            .came(&self.timeouts, || woken_at.unwrap_or_else(Instant::now));
    }

    /// What the upstream's body is polled with: a wait ends when the upstream has something, not when its
    /// reader comes for it. `None`: no clock asks.
    #[inline]
    pub(crate) fn listen(&mut self, reader: &Waker) -> Option<Waker> {
        if !self.timeouts.counts_waiting() {
            return None;
        }
        let woken = self.woken.get_or_insert_with(Woken::new);
        let (waker, woken_at) = woken.listen(reader);
        self.woken_at = woken_at;
        Some(waker.clone())
    }

    /// The head came.
    pub(crate) fn head(&mut self, answer: Answer) {
        self.came();
        self.clocks.head(answer);
    }

    /// The upstream has nothing to give: ready with the clock that has run out.
    pub(crate) fn poll_waiting(&mut self, progress: Progress, cx: &mut Context<'_>) -> Poll<Clock> {
        // it was woken for nothing that can be handed on; what its reader spent elsewhere is no wait
        if let Some(at) = self.woken_at.take()
            && at.elapsed() > ELSEWHERE
        {
            self.clocks.came(&self.timeouts, || at);
        }
        let since = self.clocks.wait(progress, Instant::now);
        loop {
            let Some((left, clock)) = self.clocks.next(&self.timeouts) else {
                return Poll::Pending;
            };
            // a time beyond the end of time never comes
            let Some(end) = since.checked_add(left) else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
            if timer.deadline() > end {
                timer.as_mut().reset(end);
            }
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() < end {
                timer.as_mut().reset(end);
            } else if self.clocks.ran_out(&self.timeouts, clock) {
                return Poll::Ready(clock);
            }
        }
    }

    /// When the first clock runs out if nothing comes from now on.
    pub(crate) fn earliest(&self, now: Instant) -> Option<Instant> {
        let (left, _) = self.clocks.next(&self.timeouts)?;
        now.checked_add(left)
    }

    pub(crate) fn repeats(&self) -> Option<u64> {
        self.timeouts.repeats
    }

    /// Why an attempt ends whose clock ran out.
    pub(crate) fn why(&self, clock: Clock) -> Why {
        let of = &self.timeouts;
        let limit = match clock {
            Clock::Headers => of.headers,
            Clock::FirstEvent => of.first_event,
            Clock::FirstContent => of.first_content,
            Clock::Silence => of.silence,
            Clock::Idle => of.idle,
            Clock::Total => of.total,
            Clock::Throughput => of.throughput.map(|throughput| throughput.window),
        };
        Why::Clock {
            clock,
            limit: limit.unwrap_or_default(),
        }
    }
}
